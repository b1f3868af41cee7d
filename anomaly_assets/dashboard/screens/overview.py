"""A period at a glance."""

import streamlit as st

from anomaly_assets.dashboard.figures.overview import rate_over_time, rows_over_time
from anomaly_assets.dashboard.figures.style import readable
from anomaly_assets.dashboard.shell import deployment, selection
from anomaly_assets.dashboard.transactions import transactions
from anomaly_assets.views.overview import rates, totals

TITLE, ICON = "Overview", ":material/space_dashboard:"


def show() -> None:
    """The screen."""
    st.title(TITLE)
    chosen, digests = selection(), deployment().digests
    found = totals(digests, chosen)
    columns = st.columns(4 + len(found.flagged_by))
    columns[0].metric("Transactions", f"{found.transactions:,}")
    columns[1].metric("Judged", "-" if found.coverage is None else f"{found.coverage:.1%}")
    columns[2].metric("Flagged", f"{found.flagged:,}")
    columns[3].metric("Rate", "-" if found.rate is None else f"{found.rate:.2%}")
    for column, (name, count) in zip(columns[4:], found.flagged_by.items(), strict=True):
        column.metric(f"by {readable(name)}", f"{count:,}")
    per_day = rates(digests, chosen)
    st.plotly_chart(rate_over_time(per_day), key="rate")
    st.plotly_chart(rows_over_time(per_day), key="rows")
    st.subheader("Flags that stand out most")
    transactions(chosen.of(digests.read("flags", chosen.days), "ORG_NAME"), "flags")
