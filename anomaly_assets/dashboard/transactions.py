"""A table of transactions: choose a row to see why, or save all rows."""

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from anomaly_assets.dashboard.shell import FLAG, WITHOUT_ORGANISATION, exports, go
from anomaly_assets.domain.day_figures import MOST_STRIKING_FIRST
from anomaly_assets.domain.published import anomaly_column

SHOWN_AT_MOST = 1_000
"""Rows a table shows; exports hold all."""


def transactions(table: pa.Table, name: str, *, empty: str = "No transaction is among these.") -> None:
    """Show published rows (with a column ``day``), those that stand out most first.

    Parameters
    ----------
    name : of the table, for its exports; different for each table of a screen
    empty : what is said when there is no row
    """
    if not table.num_rows:
        st.info(empty, icon=":material/inbox:")
        return
    order = [*MOST_STRIKING_FIRST, ("day", "ascending")]
    shown = table.take(pc.select_k_unstable(table, min(SHOWN_AT_MOST, table.num_rows), order))
    if table.num_rows > shown.num_rows:
        st.caption(f"The first {shown.num_rows:,} of {table.num_rows:,} rows; the files hold all.")
    else:
        st.caption(f"{table.num_rows:,} rows. Choose one to see why.")
    state = st.dataframe(
        _readable(shown),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=f"table-{name}",
        placeholder="",
    )
    if rows := state["selection"]["rows"]:
        row = shown.slice(rows[0], 1).to_pylist()[0]
        go(FLAG, tx=row["TX_ID"], day=str(row["day"]))
    exports(table, name)


def _readable(table: pa.Table) -> pa.Table:
    """What a person looks for, in that order."""
    flags = [name for name in table.column_names if name.endswith(anomaly_column("")) and name != "is_anomaly"]
    columns = {
        "transaction": table.column("TX_ID"),
        "wallet": table.column("WALLET_ID"),
        "completed at (UTC)": pc.strftime(table.column("TX_COMPLETED_AT"), "%Y-%m-%d %H:%M"),
        "amount": pc.round(table.column("TOTAL_AMOUNT"), 2),
        "organisation": pc.fill_null(table.column("ORG_NAME"), WITHOUT_ORGANISATION),
        "anomaly score": pc.round(table.column("anomaly_score"), 4),
        **{name.removesuffix(anomaly_column("")).replace("_", " "): table.column(name) for name in flags},
        "reason": table.column("reason"),
    }
    return pa.table(columns)
