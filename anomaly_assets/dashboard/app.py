"""The entrance that Streamlit runs: ``streamlit run app.py``, or ``anomaly-assets dashboard``."""

from pathlib import Path

import streamlit as st

from anomaly_assets.dashboard.overdue import show_overdue
from anomaly_assets.dashboard.screens import screens_of
from anomaly_assets.dashboard.shell import deep_link, families, guarded

# a file of ours: Streamlit fetches its own icons from another host
ICON = str(Path(__file__).with_name("icon.svg"))

# tables have exports of ours beside them, that no spreadsheet takes for formulas; Streamlit's own has no such care
WITHOUT_UNSAFE_EXPORT = (
    "<style>[data-testid='stElementToolbarButton']:has([aria-label='Download as CSV']) {display: none}</style>"
)


def main() -> None:
    """Show the screen that the address names; ``?tx=`` and ``?wallet=`` at the root lead to theirs."""
    st.set_page_config(page_title="anomaly_assets", page_icon=ICON, layout="wide")
    pages = {
        name: st.Page(screen.show, title=screen.TITLE, icon=screen.ICON, url_path=name, default=place == 0)
        for place, (name, screen) in enumerate(screens_of(families()).items())
    }
    st.html(WITHOUT_UNSAFE_EXPORT)
    current = st.navigation(list(pages.values()))
    deep_link(pages, current)
    with guarded():
        show_overdue()
        current.run()


main()
