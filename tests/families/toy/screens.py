"""The screen of the family in the dashboard."""

import sys
from typing import cast

import streamlit as st

from anomaly_assets.dashboard.screens import Screen
from anomaly_assets.dashboard.shell import deployment, nothing
from anomaly_assets.dashboard.tables import listing, number, text
from families.toy.family import JUDGEMENTS

TITLE, ICON = "Large amounts", ":material/toys:"


def show() -> None:
    """The large transactions of the newest judged day."""
    st.title(TITLE)
    lake = deployment().home.lake
    day = lake.newest_day(JUDGEMENTS)
    if day is None:
        nothing("No day is judged yet.", "anomaly-assets stale --rematerialize")
    judged = lake.read(lake.require(JUDGEMENTS, day), "judged")
    large = judged.filter(judged.column("is_large"))
    st.markdown(f"{large.num_rows} of {judged.num_rows} transactions of {day} are large.")
    listing(large, "large", {"tx_id": text("transaction"), "wallet_id": text("wallet"), "amount": number("amount")})


SCREENS = {"toy": cast("Screen", sys.modules[__name__])}
