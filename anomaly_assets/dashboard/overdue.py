"""What every screen says first when a day is missing that should be there by now."""

import streamlit as st

from anomaly_assets.dashboard.looks import scores_now
from anomaly_assets.dashboard.shell import plain


def show_overdue() -> None:
    """One red line with what to do; nothing when the due day is scored or no day is due."""
    scores = scores_now()
    if not scores.is_overdue:
        return
    newest = f"Scored up to {scores.newest}" if scores.newest else "No day is scored"
    st.error(plain(f"{newest}, {scores.told}."), icon=":material/event_busy:")
    st.caption("Missed nights are made up while Dagster's daemon runs (anomaly-assets doctor looks). By hand:")
    st.code(scores.command, language="sh")
