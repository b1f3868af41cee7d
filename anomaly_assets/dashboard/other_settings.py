"""Other settings of detectors, asked for in a form, and what they would have flagged."""

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import streamlit as st

from anomaly_assets.dashboard.address import remember
from anomaly_assets.dashboard.figures.style import readable
from anomaly_assets.dashboard.shell import deployment, misread
from anomaly_assets.evidence.compare import Comparison, compare_days, other_settings
from anomaly_assets.settings import Detection

SET = "set"
"""Name in the address of changes: ``detector.setting=value``."""
_FOUND = "compared"
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}
_GREATEST = 2**53 - 1
"""The greatest number of a control without a bound of its own."""


def asked(detection: Detection) -> dict[str, str]:
    """Settings that are wanted otherwise than ``detection`` has them, by dotted key; one control for each setting."""
    wanted = {key: text for key, _, text in (pair.partition("=") for pair in st.query_params.get_all(SET))}
    changes: dict[str, str] = {}
    detectors = detection.detectors()
    for column, detector in zip(st.columns(len(detectors)), detectors, strict=True):
        section = getattr(detection, detector.name)
        with column:
            st.markdown(f"**{readable(detector.name)}**")
            for fits in (False, True):
                names = [name for name in type(section).model_fields if (name in detector.fit_parameters) is fits]
                if names and fits:
                    st.caption("These shape models, which are fitted again: it takes longer.")
                for name in names:
                    changes |= _control(f"{detector.name}.{name}", section, name, wanted)
    _say_what_is_unknown(wanted, detection)
    remember(SET, [f"{key}={value}" for key, value in changes.items()])
    return changes


def _say_what_is_unknown(wanted: Mapping[str, str], detection: Detection) -> None:
    """Settings of the address that there are not, or whose value is none; told once, as the address loses them."""
    for key, text in wanted.items():
        detector, _, name = key.partition(".")
        section = getattr(detection, detector, None) if detector in {d.name for d in detection.detectors()} else None
        if section is None or name not in type(section).model_fields:
            misread(f"The address changes {key!r}, which is no setting of these detectors", "what is without it")
        elif _value(text, section, name) is None:
            misread(f"The address gives {key!r} the value {text!r}, which it cannot have", str(getattr(section, name)))


def compared(days: Sequence[date], changes: Mapping[str, str]) -> Comparison | None:
    """What was found for these days and changes, if it was asked for last."""
    key, found = st.session_state.get(_FOUND, (None, None))
    return found if key == _key(days, changes) else None


def compare(days: Sequence[date], changes: Mapping[str, str]) -> None:
    """Compare day by day, telling how far it is; the result stays in memory until another is asked for."""
    shared, bar = deployment(), st.progress(0.0, text="waiting for another comparison to end")

    def one_by_one() -> Iterator[date]:
        for place, day in enumerate(days):
            bar.progress(place / len(days), text=f"comparing {day} ({place + 1} of {len(days)})")
            yield day

    with _one_at_a_time():
        comparison = compare_days(shared.home, one_by_one(), changes, compute=shared.compute)
    bar.empty()
    st.session_state[_FOUND] = (_key(days, changes), comparison)


def checked(detection: Detection, changes: Mapping[str, str]) -> None:
    """Raise ``SettingsError`` when a change is not allowed."""
    other_settings(detection, changes)


@st.cache_resource
def _one_at_a_time() -> threading.Lock:
    """Held while days are compared: fits use all cores."""
    return threading.Lock()


def _key(days: Sequence[date], changes: Mapping[str, str]) -> tuple[Any, ...]:
    digests = deployment().digests
    return tuple(digests.scored(day).content for day in days), tuple(sorted(changes.items()))


def _control(key: str, section: Any, name: str, wanted: Mapping[str, str]) -> dict[str, str]:
    """The change that the control of one setting asks for: none when it stands as it was."""
    now, field = getattr(section, name), type(section).model_fields[name]
    label, about, place = readable(name), f"{field.description} As published: {now}", f"other-{key}"
    if place not in st.session_state:
        asked_for = _value(wanted[key], section, name) if key in wanted else None
        st.session_state[place] = now if asked_for is None else asked_for
    if isinstance(now, bool):
        value: Any = st.toggle(label, help=about, key=place)
    elif isinstance(now, int | float):
        bounds = _bounds(field.metadata, now)
        value = st.number_input(
            label,
            min_value=bounds.low,
            max_value=bounds.high,
            step=bounds.step,
            format=bounds.format,
            help=about,
            key=place,
        )
    else:
        value = st.text_input(label, help=about, key=place)
    return {} if value is None or value == now else {key: str(value)}


def _value(text: str, section: Any, name: str) -> Any:
    """What a text of the address says of a setting; None when its control cannot say so.

    Streamlit itself would show the least number where one lies beyond the bounds, and tell nobody.
    """
    now = getattr(section, name)
    if isinstance(now, bool):
        return {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}.get(text.lower())
    try:
        value = type(now)(text)
    except ValueError:
        return None
    if isinstance(value, int | float):
        bounds = _bounds(type(section).model_fields[name].metadata, now)
        low = -_GREATEST if bounds.low is None else bounds.low
        high = _GREATEST if bounds.high is None else bounds.high
        return value if low <= value <= high else None
    return value


@dataclass(frozen=True)
class _Bounds:
    """Least and greatest value of a number, None where it has none, the step between, and how it is printed."""

    step: float
    low: float | None
    high: float | None
    format: str | None


def _bounds(metadata: Sequence[Any], now: float) -> _Bounds:
    is_whole = isinstance(now, int)
    step = 1 if is_whole else 10.0 ** math.floor(math.log10(abs(now) or 1.0) - 1.0)
    low: float | None = None
    high: float | None = None
    for each in metadata:
        if (limit := getattr(each, "ge", None)) is not None:
            low = type(now)(limit)
        if (limit := getattr(each, "gt", None)) is not None:
            low = type(now)(limit + step)
        if (limit := getattr(each, "le", None)) is not None:
            high = type(now)(limit)
        if (limit := getattr(each, "lt", None)) is not None:
            high = type(now)(limit - step)
    return _Bounds(step, low, high, None if is_whole else "%.6g")
