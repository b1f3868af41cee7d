"""What the wallet screen draws of many days: at a first look of some, so that nothing waits, and at last of all."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from anomaly_assets.dashboard import address
from anomaly_assets.dashboard.figures.style import readable
from anomaly_assets.dashboard.figures.wallet import DRAWN_AT_MOST, history, numbers_over_time
from anomaly_assets.dashboard.shell import FLAG, Deployment, go
from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.views import wallet as views
from anomaly_assets.views.selection import evenly

FIRST_DAYS = 32
"""Days whose models a first look draws before the rest of the screen; those of the other days follow."""
_LOOKED = "wallet-looked-at"


class OverTime:
    """Its amounts, their bands and its models' numbers: at a first look of some of many days, at last of all."""

    def __init__(
        self, found: Deployment, wallet: str, days: Sequence[date], rows: pa.Table, detectors: Sequence[Detector]
    ) -> None:
        self._found, self._wallet, self._rows = found, wallet, rows
        self._detectors = [each.name for each in detectors]
        self.flagged = views.flagged_rows(found.digests, wallet, days)
        st.subheader("Amounts over time")
        hours = pc.hour(rows.column("TX_COMPLETED_AT")).to_numpy() if rows.num_rows else np.zeros(1, np.int64)
        usual = int(np.bincount(hours, minlength=24).argmax())
        self._hour = address.number("Hour of day (UTC) whose normal band is drawn", "hour", range(24), default=usual)
        self._amounts = st.empty()
        self._shown = (wallet, tuple(days), self._hour)
        looked = st.session_state.get(_LOOKED) == self._shown
        self._days = evenly(days, len(days) if looked else FIRST_DAYS)
        self._all_drawn = len(self._days) == len(days)

    def draw_amounts(self) -> None:
        """The amounts, and the bands of some days; of all at a later look."""
        self._draw_history()
        st.caption(
            "Shaded: amounts that no detector flagged at that hour, by the models of each day; its edge is the flag "
            "line. Days without shade lack a model that is kept. Choose a dot to see why it was flagged or not."
            + (
                f" Of the {self._rows.num_rows:,} transactions every flag and about {DRAWN_AT_MOST:,} others are drawn."
                if self._rows.num_rows > DRAWN_AT_MOST
                else ""
            )
        )

    def draw_numbers(self) -> None:
        """Parameters of the models of the same days."""
        self._numbers = st.empty()
        self._draw_numbers()

    def draw_the_rest(self) -> None:
        """Whatever is left out yet, in its place."""
        if not self._all_drawn:
            self._days, self._all_drawn = self._shown[1], True
            self._draw_history()
            self._draw_numbers()
        st.session_state[_LOOKED] = self._shown

    @property
    def _listed(self) -> list[views.ModelOfDay]:
        return views.models(self._found.wallets, self._wallet, self._days)

    def _draw_history(self) -> None:
        normal = views.normal_over_time(self._found.home, self._listed, self._found.detectors, self._hour)
        drawn = history(self._rows, self.flagged, normal, self._hour)
        if not self._all_drawn:
            self._amounts.plotly_chart(drawn, key="history-some")
            return
        state: Any = self._amounts.plotly_chart(drawn, key="history", on_select="rerun", selection_mode="points")
        for point in state["selection"]["points"]:
            day, number, *tx_id = point["customdata"]
            where = self._found.wallets, self._wallet, date.fromisoformat(day), number
            go(FLAG, tx=tx_id[0] if tx_id else views.tx_id_at(*where), day=day)

    def _draw_numbers(self) -> None:
        listed = self._listed
        names = [name for name in self._detectors if any(each.detector == name for each in listed)]
        if not names:
            return
        with self._numbers.container():
            st.subheader("Model parameters over time")
            for name, tab in zip(names, st.tabs([readable(name) for name in names]), strict=True):
                key = f"numbers-{name}-{len(self._days)}"
                tab.plotly_chart(numbers_over_time(listed, name, self._detectors), key=key)
            st.caption("On the scale the detector works on: logarithms of amounts, unless the settings say otherwise.")
