"""When rows are flagged, and from there to the rows."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import streamlit as st

from anomaly_assets.dashboard.address import choice, remember
from anomaly_assets.dashboard.figures.style import readable
from anomaly_assets.dashboard.figures.timeline import DAY_NAMES, flags_by_day, flags_by_hour, heat_map
from anomaly_assets.dashboard.sections import together
from anomaly_assets.dashboard.shell import deployment, exports, misread, plain, selection
from anomaly_assets.dashboard.transactions import transactions
from anomaly_assets.domain.days import day_named
from anomaly_assets.domain.metrics import UNIFIED
from anomaly_assets.views.counts import detector_names
from anomaly_assets.views.selection import Selection
from anomaly_assets.views.timeline import (
    HOURS,
    WEEKDAYS,
    Focus,
    all_rows,
    by_hour_and_weekday,
    flagged_rows,
    flags_over_time,
)

TITLE, ICON = "Timeline", ":material/timeline:"
DAYS, WEEKDAY, HOUR, BY = "days", "weekday", "hour", "by"
"""Names in the address."""
HOURLY_UP_TO = 14
"""Days that are also shown hour by hour."""
VALUES = {"n_flagged": "number of flags", "rate": "share of judged rows"}


def show() -> None:
    """The screen."""
    st.title(TITLE)
    chosen, digests = selection(), deployment().digests
    detectors = detector_names(digests, chosen.days)
    any_of = together(chosen)
    by = choice("Flagged by", BY, [UNIFIED, *detectors], shown=lambda n: any_of if n == UNIFIED else readable(n))
    focus = _focus(by, chosen)
    over_time = flags_over_time(digests, chosen)
    _chart(
        flags_by_day(over_time, detectors, chosen=focus.days, together=any_of), "by-day", _take_days, ("points", "box")
    )
    st.caption(
        f"Flagged transactions per day: bars for {plain(any_of)}, lines for each detector, with gaps on days that it "
        "did not judge. Drag over one or more days to look closer at them; the rest of this screen follows."
    )
    exports(over_time, "flags-over-time")
    narrowed = Focus(days=focus.days).of(chosen)
    if not narrowed.days:
        st.info("None of the days looked at closer is in the period.", icon=":material/inbox:")
    _what_is_chosen(chosen, focus)
    if narrowed.days:
        _hour_by_hour(narrowed, detectors, any_of)
        _hours_and_weekdays(narrowed, focus)
    st.subheader("Flagged transactions behind it")
    transactions(
        flagged_rows(digests, chosen, focus),
        "flags-of-the-timeline",
        empty="No flagged transaction is among these. Choose more days or hours.",
    )
    _all_of_a_day(chosen, focus)


def _hour_by_hour(narrowed: Selection, detectors: list[str], any_of: str) -> None:
    if len(narrowed.days) > HOURLY_UP_TO:
        return
    hourly = flags_over_time(deployment().digests, narrowed, hourly=True)
    _chart(flags_by_hour(hourly, detectors, together=any_of), "by-hour", _take_hours, ("points",))
    st.caption("The same hour by hour. Click a bar or a point for the transactions of that hour.")


def _hours_and_weekdays(narrowed: Selection, focus: Focus) -> None:
    st.subheader("Hour of day and weekday")
    value = choice("Colours show", "colour", list(VALUES), shown=VALUES.__getitem__)
    table = by_hour_and_weekday(deployment().digests, narrowed, focus.detector)
    drawn = heat_map(table, value, weekdays=focus.weekdays, hours=focus.hours)
    _chart(drawn, "heat-map", _take_cells, ("points", "box"))
    st.caption(
        "Every cell is an hour of day (UTC) on a weekday, over all days looked at; the darker towards red, the more. "
        "Click a cell for the transactions behind it, or use the box in the corner of the figure to choose more."
    )
    exports(table, "hours-and-weekdays")


def _what_is_chosen(chosen: Selection, focus: Focus) -> None:
    """Say what is looked at closer, with buttons that leave it or make it the period."""
    parts = [f"{focus.days[0]} to {focus.days[1]}" if focus.days else ""]
    if focus.weekdays is not None:
        parts.append(", ".join(DAY_NAMES[day] for day in sorted(focus.weekdays)))
    if focus.hours is not None:
        parts.append("hours " + ", ".join(f"{hour:02d}" for hour in sorted(focus.hours)) + " UTC")
    said = "; ".join(part for part in parts if part)
    if not said:
        return
    text, whole, period = st.columns([3, 1, 1], vertical_alignment="center")
    text.markdown(f"**Looking closer at:** {said}")
    whole.button("Show all again", on_click=_look_at_all, icon=":material/zoom_out_map:")
    if focus.days and focus.days != (chosen.days[0], chosen.days[-1]):
        period.button("Make it the period", on_click=_as_period, args=focus.days, icon=":material/date_range:")


def _all_of_a_day(chosen: Selection, focus: Focus) -> None:
    """Every row of one of the days, on request."""
    days = focus.of(chosen).days
    if not days:
        return
    with st.expander("All transactions of one of these days, flagged or not"):
        day = st.selectbox("Day (UTC)", days[::-1], key="all-of-day")
        if day and st.toggle("Show them", key="all-of-day-shown"):
            transactions(all_rows(deployment().digests, chosen, focus, day), f"all-of-{day}")


def _chart(drawn: Any, name: str, take: Callable[[list[Any]], None], modes: tuple[Any, ...]) -> None:
    """A figure whose chosen marks go into the address; it starts anew then, what is chosen stands in the figure."""
    key = f"{name}-{st.session_state.get('timeline-turn', 0)}"

    def chosen() -> None:
        points = [point["customdata"] for point in st.session_state[key]["selection"]["points"]]
        if points:
            take(points)
            _start_anew()

    st.plotly_chart(drawn, key=key, on_select=chosen, selection_mode=modes)


def _start_anew() -> None:
    st.session_state["timeline-turn"] = st.session_state.get("timeline-turn", 0) + 1


def _take_days(marks: list[str]) -> None:
    days = sorted(marks)
    remember(DAYS, [f"{days[0]}..{days[-1]}"])


def _take_hours(marks: list[str]) -> None:
    at = datetime.strptime(marks[0] + "+0000", "%Y-%m-%dT%H%z")
    remember(DAYS, [f"{at.date()}..{at.date()}"])
    remember(HOUR, [str(at.hour)])
    remember(WEEKDAY, [])


def _take_cells(marks: list[list[Any]]) -> None:
    remember(WEEKDAY, sorted({str(mark[0]) for mark in marks}))
    remember(HOUR, sorted({str(mark[1]) for mark in marks}, key=int))


def _look_at_all() -> None:
    for name in (DAYS, WEEKDAY, HOUR):
        remember(name, [])
    _start_anew()


def _as_period(first: date, last: date) -> None:
    st.query_params.update({"from": str(first), "to": str(last)})
    remember(DAYS, [])


def _focus(by: str, shown: Selection) -> Focus:
    """What the address names; what it names wrongly is left out."""
    text = st.query_params.get(DAYS, "")
    first, last = map(day_named, text.partition("..")[::2])
    if text and not (first and last):
        misread(f"The address looks closer at {text!r}, which are no two days", "the whole period")
    return Focus(
        days=(max(min(first, last), shown.days[0]), min(max(first, last), shown.days[-1])) if first and last else None,
        weekdays=_numbers(WEEKDAY, WEEKDAYS),
        hours=_numbers(HOUR, HOURS),
        detector=by,
    )


def _numbers(name: str, count: int) -> frozenset[int] | None:
    known = {str(number): number for number in range(count)}
    asked = st.query_params.get_all(name)
    found = frozenset(known[text] for text in asked if text in known) or None
    if unknown := [text for text in asked if text not in known]:
        taken = ", ".join(map(str, sorted(found))) if found else f"every {name}"
        misread(f"The address asks for the {name} {', '.join(map(repr, unknown))}, of 0 to {count - 1}", taken)
    return found
