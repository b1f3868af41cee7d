"""Tables that are not of transactions: shown with their units, saved as files, rows to choose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from anomaly_assets.dashboard.shell import exports, organisation

Column: TypeAlias = "ColumnConfig | Share"
"""How a column is labelled and formatted."""
NARROW_ROW, HEADER = 35, 38
"""Pixels of a table's row and header."""


@dataclass(frozen=True)
class Share:
    """A column of shares, shown in percent."""

    label: str
    help_text: str | None = None

    @property
    def config(self) -> ColumnConfig:
        """How Streamlit shows it, of values in percent."""
        return st.column_config.NumberColumn(self.label, format="%.2f %%", help=self.help_text)


def listing(
    table: pa.Table, name: str, columns: Mapping[str, Column], *, choose: bool = False, state: str = "", rows: int = 10
) -> int | None:
    """Show some columns of a table with buttons to save all of it; the place of the chosen row, None when none is.

    Parameters
    ----------
    name : of the table, for its exports; different for each table of a screen
    columns : name of the column to how it is labelled and formatted, in order
    choose : whether a row can be chosen
    state : another state starts without a chosen row
    rows : shown at once; the others are scrolled to
    """
    key = f"table-{name}-{state}"
    height = HEADER + NARROW_ROW * min(table.num_rows, rows)
    configured = {name: kind.config if isinstance(kind, Share) else kind for name, kind in columns.items()}
    shown = table.select(list(columns))
    for place, kind in enumerate(columns.values()):
        if isinstance(kind, Share):
            shown = shown.set_column(place, shown.column_names[place], pc.multiply(shown.column(place), 100.0))
    show = partial(
        st.dataframe, shown, hide_index=True, column_config=configured, height=height, key=key, placeholder=""
    )
    chosen: Sequence[int] = ()
    if choose:
        answer: Any = show(on_select="rerun", selection_mode="single-row")
        chosen = answer["selection"]["rows"]
    else:
        show()
    exports(table, name)
    return chosen[0] if chosen else None


def named(table: pa.Table, column: str) -> pa.Table:
    """The table with names of organisations as screens have them, also for rows without one."""
    names = pa.array(map(organisation, table.column(column).to_pylist()), pa.string())
    return table.set_column(table.column_names.index(column), column, names)


def number(label: str, help_text: str | None = None) -> ColumnConfig:
    """A column of counts."""
    return st.column_config.NumberColumn(label, format="localized", help=help_text)


def bar(label: str, highest: float) -> ColumnConfig:
    """A column of counts with bars up to ``highest``."""
    return st.column_config.ProgressColumn(label, format="localized", min_value=0, max_value=max(highest, 1))


def score(label: str) -> ColumnConfig:
    """A column of anomaly scores."""
    return st.column_config.NumberColumn(label, format="%.4f", help="in [0, 1), above 0.5 when flagged")


def text(label: str, help_text: str | None = None) -> ColumnConfig:
    """A column of texts."""
    return st.column_config.TextColumn(label, help=help_text)


def day(label: str) -> ColumnConfig:
    """A column of days."""
    return st.column_config.DateColumn(label, format="YYYY-MM-DD")
