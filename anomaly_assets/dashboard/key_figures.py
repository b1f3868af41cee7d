"""Large figures beside each other."""

from typing import NamedTuple

import streamlit as st


class KeyFigure(NamedTuple):
    """A figure with what it is and, behind a question mark, more about it."""

    label: str
    value: str
    about: str | None = None


def key_figures(*figures: KeyFigure) -> None:
    """Show them in one line, or in as many as the window needs: columns would cut long ones off."""
    with st.container(horizontal=True, gap="large"):
        for label, value, about in figures:
            st.metric(label, value, help=about, width="content")
