"""What the wallet screen draws of many days: at a first look of some, so that nothing waits, and at last of all."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from anomaly_assets.dashboard import address
from anomaly_assets.dashboard.figures.style import readable
from anomaly_assets.dashboard.figures.wallet import dots_drawn, history, numbers_over_time
from anomaly_assets.dashboard.shell import FLAG, Deployment, go
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.views import wallet as views
from anomaly_assets.views.selection import evenly

FIRST_DAYS = 32
"""Days, at most, whose models a first look draws before the rest of the screen; those of the other days follow."""
_LOOKED = "wallet-looked-at"


class OverTime:
    """A wallet's amounts with their bands, and its models' numbers: at a first look of some of many days, then of all.

    Each method draws its part where it is called; ``draw_the_rest`` fills in what is left out, in the places of before.
    """

    def __init__(
        self, found: Deployment, wallet: str, days: Sequence[date], rows: pa.Table, detectors: Sequence[str]
    ) -> None:
        self._found, self._wallet, self._days, self._rows = found, wallet, tuple(days), rows
        self._detectors = detectors
        self._numbers: dict[str, DeltaGenerator] = {}
        self.flagged = views.flagged_rows(found.digests, wallet, days)

    def draw_amounts(self) -> None:
        """The amounts, and the bands of some days; of all at a later look.

        Raises ``CorruptFile`` for a model that is not as it should be, once the amounts are drawn.
        """
        hours = (
            pc.hour(self._rows.column("TX_COMPLETED_AT")).to_numpy() if self._rows.num_rows else np.zeros(1, np.int64)
        )
        usual = int(np.bincount(hours, minlength=24).argmax())
        st.subheader("Amounts over time")
        self._hour = address.number("Hour of day (UTC) whose normal band is drawn", "hour", range(24), default=usual)
        self._amounts = st.empty()
        looked, some = st.session_state.get(_LOOKED, (None, None)), evenly(self._days, FIRST_DAYS)
        of_wallet = looked[0] == (self._wallet, self._days)
        self._numbers_of = self._days if of_wallet else some
        self._bands_of = self._days if of_wallet and looked[1] == self._hour else some
        try:
            self._draw_history()
        except AnomalyAssetsError:
            self._amounts.plotly_chart(history(self._rows, self.flagged, [], self._hour), key="history-alone")
            raise
        n_others = self._rows.num_rows - self.flagged.num_rows
        st.caption(
            "Shaded: amounts that no detector with a normal band flagged at that hour, by the models of each day; its "
            "edge is the flag line. Days without shade lack a model that is kept. Choose a dot to see why it was "
            f"flagged or not. Crosses: its flags. Dots: its other transactions{dots_drawn(n_others)}."
        )

    def draw_numbers(self) -> None:
        """Parameters of the models, of some days or of all."""
        st.subheader("Model parameters over time")
        tabs = st.tabs([readable(name) for name in self._detectors], key="numbers", on_change="rerun")
        self._numbers = {name: tab.empty() for name, tab in zip(self._detectors, tabs, strict=True)}
        self._draw_numbers()
        st.caption("On the scale the detector works on: logarithms of amounts, unless the settings say otherwise.")

    def draw_the_rest(self) -> None:
        """Whatever is left out yet, in its place; nothing when there is nothing."""
        st.session_state[_LOOKED] = (self._wallet, self._days), self._hour
        if self._bands_of != self._days:
            self._bands_of = self._days
            self._draw_history()
        if self._numbers_of != self._days:
            self._numbers_of = self._days
            self._draw_numbers()

    def _draw_history(self) -> None:
        listed = views.models(self._found.wallets, self._wallet, self._bands_of)
        normal = views.normal_over_time(self._found.home, listed, self._found.detectors, self._hour)
        drawn = history(self._rows, self.flagged, normal, self._hour)
        if self._bands_of != self._days:
            self._amounts.plotly_chart(drawn, key="history-some")
            return
        state: Any = self._amounts.plotly_chart(drawn, key="history", on_select="rerun", selection_mode="points")
        for point in state["selection"]["points"]:
            day, number, *tx_id = point["customdata"]
            where = self._found.wallets, self._wallet, date.fromisoformat(day), number
            go(FLAG, tx=tx_id[0] if tx_id else views.tx_id_at(*where), day=day)

    def _draw_numbers(self) -> None:
        listed = views.models(self._found.wallets, self._wallet, self._numbers_of)
        for name, place in self._numbers.items():
            if any(each.detector == name for each in listed):
                drawn = numbers_over_time(listed, name, self._detectors)
                place.plotly_chart(drawn, key=f"numbers-{name}-{len(self._numbers_of)}")
            else:
                place.info("It had no model of this detector in this period.", icon=":material/inbox:")
