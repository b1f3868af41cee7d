"""Choices that stand in the address, so that a copied address shows the same."""

from collections.abc import Callable, Sequence
from datetime import date

import streamlit as st

from anomaly_assets.dashboard.shell import misread
from anomaly_assets.domain.days import day_named

_SWITCH = {"yes": True, "no": False}


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
        _say_unless(asked is None or asked in options, label, asked, shown(usual))
    value = st.segmented_control(label, options, format_func=shown, key=key) or usual
    remember(name, [] if value == usual else [value])
    return value


def switch(label: str, name: str, *, on: bool = False, explained: str | None = None) -> bool:
    """Whether something is switched on, in the address under ``name`` unless it is as usual (``on``)."""
    key = _key(name)
    if key not in st.session_state:
        asked = st.query_params.get(name)
        st.session_state[key] = _SWITCH.get(asked or "", on)
        _say_unless(asked is None or asked in _SWITCH, label, asked, "yes" if on else "no")
    value = st.toggle(label, key=key, help=explained)
    remember(name, [] if value is on else ["yes" if value else "no"])
    return value


def several(label: str, name: str, options: Sequence[str], default: Sequence[str], *, at_most: int) -> list[str]:
    """Some of ``options``, in the address under ``name``, unless they are the default."""
    key = _key(name)
    asked = st.session_state.get(key, st.query_params.get_all(name))
    known = [value for value in asked if value in options]
    taken = (known or list(default))[:at_most]
    _say_unless(key in st.session_state or known == list(asked), label, ", ".join(asked), ", ".join(taken))
    st.session_state[key] = taken
    values = st.multiselect(label, options, key=key, max_selections=at_most)
    remember(name, [] if values == list(default) else values)
    return values


def day(label: str, name: str, days: Sequence[date], *, default: date, about: str = "") -> date:
    """One of ``days``, in the address under ``name``; kept for as long as the screen is ``about`` the same."""
    key = _key(f"{name}-{about}")
    if st.session_state.get(key) not in days:
        text, told = st.query_params.get(name), f"{key}-told"
        asked = day_named(text or "")
        st.session_state[key] = asked if asked in days else default
        # a day that was put there by the screen itself is left with the period or the wallet
        _say_unless(text in {None, st.session_state.get(told)} or asked in days, label, text, str(default))
    value: date = st.selectbox(label, days, key=key)
    remember(name, [str(value)])
    st.session_state[f"{key}-told"] = str(value)
    return value


def number(label: str, name: str, numbers: Sequence[int], *, default: int) -> int:
    """One of ``numbers`` in order, in the address under ``name`` unless it is the default."""
    key, named = _key(name), {str(each): each for each in numbers}
    if key not in st.session_state:
        asked = st.query_params.get(name)
        st.session_state[key] = named.get(asked or "", default)
        _say_unless(asked is None or asked in named, label, asked, str(default))
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


def _say_unless(is_known: bool, label: str, asked: str | None, taken: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not is_known:
        misread(f"The address asks for {asked!r} under {label!r}, where there is no such choice", taken)


def _key(name: str) -> str:
    return f"address-{name}"
