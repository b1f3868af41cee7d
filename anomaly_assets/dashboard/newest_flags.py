"""The flags of the newest day with their reasons: what somebody who opens the dashboard looks for."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import streamlit as st

from anomaly_assets.dashboard.figures.style import readable
from anomaly_assets.dashboard.shell import FLAG, WALLET, link, plain
from anomaly_assets.domain.detectors.wording import amount_text
from anomaly_assets.domain.flagged_row import FlaggedRow
from anomaly_assets.domain.shown_text import shortened
from anomaly_assets.views.overview import newest_flags
from anomaly_assets.views.usual import usual_words

SHOWN = 6
"""Flags that are listed."""
WIDTHS = (2.6, 1.3, 1.6, 6)
"""Of the columns, against each other: reasons are long."""
LONGEST_ID = 18
"""Letters of an id: longer ones are cut here, and are whole on their own page."""


def show_newest_flags(flags: pa.Table, per_day: pa.Table, detectors: Sequence[str]) -> None:
    """The flags of the newest day of a period, and how its rate compares with the days before.

    Parameters
    ----------
    flags : ``views.overview.flags_of`` the period
    per_day : ``views.overview.rates`` of it
    detectors : names, in order of publication
    """
    newest = per_day.slice(per_day.num_rows - 1).to_pylist()[0]
    st.subheader(f"Flags of {newest['day']}", anchor=False)
    st.markdown(_rate(newest))
    found = newest_flags(flags, SHOWN)
    if not found.num_rows:
        st.info("Nothing was flagged in this period.", icon=":material/inbox:")
        return
    day = found.column("day")[0].as_py()
    if day != newest["day"]:
        st.info(f"The newest flags of the period are of {day}:", icon=":material/history:")
    for column, name in zip(st.columns(WIDTHS), ("transaction, wallet", "amount", "flagged by", "why"), strict=True):
        column.caption(name)
    for row in found.to_pylist():
        _show(FlaggedRow.of(row, detectors), str(day))
    more = sum(each == day for each in flags.column("day").to_pylist()) - found.num_rows
    if more:
        st.caption(f"And {more:,} more of {day}: all flags of the period are in the table at the end.")


def _rate(day: Mapping[str, Any]) -> str:
    if day["rate"] is None:
        return "No transaction was judged."
    band = None if day["usual_low"] is None else (day["usual_low"], day["usual_high"])
    counts = f"{day['n_flagged']:,} of {day['n_judged']:,} judged transactions were flagged"
    return f"{counts}: **{day['rate']:.2%}**, {usual_words(day['rate'], band)}."


def _show(flag: FlaggedRow, day: str) -> None:
    ids, amount, by, why = st.columns(WIDTHS)
    with ids, st.container(gap=None):
        link(shortened(flag.tx_id, LONGEST_ID), FLAG, tx=flag.tx_id, day=day)
        link(shortened(flag.wallet_id, LONGEST_ID), WALLET, wallet=flag.wallet_id, day=day)
    amount.markdown(plain(amount_text(flag.amount)))
    by.markdown(", ".join(map(readable, flag.flagged_by)))
    why.markdown(f":small[{plain(flag.reason)}]")
