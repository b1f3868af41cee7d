"""Choices that stand in the address, so that a copied address shows the same."""

from collections.abc import Callable, Sequence
from datetime import date

import streamlit as st

from anomaly_assets.domain.days import day_named


def choice(
    label: str, name: str, options: Sequence[str], *, shown: Callable[[str], str] = str, default: str | None = None
) -> str:
    """One of ``options``, in the address under ``name`` unless it is the default (the first one).

    Parameters
    ----------
    shown : how an option is written on the screen
    """
    usual, key = default or options[0], _key(name)
    if st.session_state.get(key) not in options:
        asked = st.query_params.get(name)
        st.session_state[key] = asked if asked in options else usual
    value = st.segmented_control(label, options, format_func=shown, key=key) or usual
    remember(name, [] if value == usual else [value])
    return value


def switch(label: str, name: str, *, on: bool = False, explained: str | None = None) -> bool:
    """Whether something is switched on, in the address under ``name`` unless it is as usual (``on``)."""
    key = _key(name)
    if key not in st.session_state:
        st.session_state[key] = {"yes": True, "no": False}.get(st.query_params.get(name, ""), on)
    value = st.toggle(label, key=key, help=explained)
    remember(name, [] if value is on else ["yes" if value else "no"])
    return value


def several(label: str, name: str, options: Sequence[str], default: Sequence[str], *, at_most: int) -> list[str]:
    """Some of ``options``, in the address under ``name``, unless they are the default."""
    key = _key(name)
    known = [value for value in st.session_state.get(key, st.query_params.get_all(name)) if value in options]
    st.session_state[key] = (known or list(default))[:at_most]
    values = st.multiselect(label, options, key=key, max_selections=at_most)
    remember(name, [] if values == list(default) else values)
    return values


def day(label: str, name: str, days: Sequence[date], *, default: date, about: str = "") -> date:
    """One of ``days``, in the address under ``name``; kept for as long as the screen is ``about`` the same."""
    key = _key(f"{name}-{about}")
    if st.session_state.get(key) not in days:
        asked = day_named(st.query_params.get(name, ""))
        st.session_state[key] = asked if asked in days else default
    value: date = st.selectbox(label, days, key=key)
    remember(name, [str(value)])
    return value


def number(label: str, name: str, numbers: Sequence[int], *, default: int) -> int:
    """One of ``numbers`` in order, in the address under ``name`` unless it is the default."""
    key, named = _key(name), {str(each): each for each in numbers}
    if key not in st.session_state:
        st.session_state[key] = named.get(st.query_params.get(name, ""), default)
    value: int = st.select_slider(label, numbers, key=key)
    remember(name, [] if value == default else [str(value)])
    return value


def remember(name: str, values: Sequence[str]) -> None:
    """Put values into the address, or take the name out of it when there are none."""
    if values:
        if st.query_params.get_all(name) != list(values):
            st.query_params[name] = list(values)
    elif name in st.query_params:
        del st.query_params[name]


def _key(name: str) -> str:
    return f"address-{name}"
