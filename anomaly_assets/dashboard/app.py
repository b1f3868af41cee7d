"""The entrance that Streamlit runs: ``streamlit run app.py``, or ``anomaly-assets dashboard``."""

from pathlib import Path

import streamlit as st

from anomaly_assets.dashboard.screens import SCREENS
from anomaly_assets.dashboard.shell import deep_link, guarded

# a file of ours: Streamlit fetches its own icons from another host
ICON = str(Path(__file__).with_name("icon.svg"))


def main() -> None:
    """Show the screen that the address names; ``?tx=`` and ``?wallet=`` at the root lead to theirs."""
    st.set_page_config(page_title="anomaly_assets", page_icon=ICON, layout="wide")
    pages = {
        name: st.Page(screen.show, title=screen.TITLE, icon=screen.ICON, url_path=name, default=place == 0)
        for place, (name, screen) in enumerate(SCREENS.items())
    }
    current = st.navigation(list(pages.values()))
    deep_link(pages, current)
    with guarded():
        current.run()


main()
