"""Figures of the timeline. Marks carry in ``customdata`` what they stand for."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.dashboard.figures.style import (
    ANY,
    SEQUENCE,
    by_day,
    counted,
    detector_colour,
    figure,
    line_of_days,
    noon,
    readable,
    whole_ticks,
)
from anomaly_assets.domain.metrics import UNIFIED
from anomaly_assets.views.timeline import HOURS, WEEKDAYS

DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CHOSEN = {"line": {"color": "#e08e45", "width": 2}}
"""Outline of what is looked at closer."""


def flags_by_day(
    table: pa.Table, detectors: Sequence[str], *, chosen: tuple[date, date] | None, together: str = ANY
) -> go.Figure:
    """Flags per day: all together as bars, each detector as a line; ``chosen`` days have an outline.

    A line has a gap on days whose list does not have the detector.
    """
    days = set(table.column("at").to_pylist())
    drawn = _flags(table, detectors, together, x="day (UTC)", written="%Y-%m-%d", mode=line_of_days(len(days)))
    by_day(drawn, days).update_layout(dragmode="select", selectdirection="h")
    if chosen:
        drawn.add_vrect(x0=noon(chosen[0], -1), x1=noon(chosen[1], 0), fillcolor="rgba(224,142,69,0.12)", **CHOSEN)
    return drawn


def flags_by_hour(table: pa.Table, detectors: Sequence[str], *, together: str = ANY) -> go.Figure:
    """The same per hour, each detector as marks where it flags."""
    some = table.filter(pc.or_(pc.greater(table.column("n_flagged"), 0), pc.equal(table.column("detector"), UNIFIED)))
    drawn = _flags(some, detectors, together, x="hour (UTC)", written="%Y-%m-%dT%H", mode="markers")
    return drawn.update_layout(dragmode="zoom", hovermode="closest")


def heat_map(
    table: pa.Table, value: str, *, weekdays: frozenset[int] | None, hours: frozenset[int] | None
) -> go.Figure:
    """Hour of day by weekday, in colours by ``value`` (``n_flagged`` or ``rate``); chosen cells have outlines."""
    weekday, hour = table.column("weekday").to_pylist(), table.column("hour").to_pylist()
    colours = table.column(value).to_numpy(zero_copy_only=False).reshape(WEEKDAYS, HOURS)
    name = {"n_flagged": "flags", "rate": "flagged / judged"}[value]
    cells = go.Heatmap(
        x=list(range(HOURS)),
        y=list(range(WEEKDAYS)),
        z=colours,
        colorscale=SEQUENCE,
        zmin=0,
        xgap=1,
        ygap=1,
        hoverinfo="skip",
        colorbar={
            "title": {"text": name},
            "tickformat": ".1%" if value == "rate" else "d",
            "dtick": None if value == "rate" else whole_ticks(max(table.column("n_flagged").to_pylist())),
        },
    )
    drawn = figure(cells, _handles(table, weekday, hour), x="hour of day (UTC)", y="weekday", hovermode="closest")
    drawn.update_xaxes(tickvals=list(range(0, HOURS, 3)), range=[-0.5, HOURS - 0.5], showgrid=False, zeroline=False)
    drawn.update_yaxes(tickvals=list(range(WEEKDAYS)), ticktext=list(DAY_NAMES), range=[WEEKDAYS - 0.5, -0.5])
    drawn.update_yaxes(showgrid=False, zeroline=False)
    drawn.update_layout(dragmode="zoom", xaxis_fixedrange=True, yaxis_fixedrange=True)  # so that a click chooses
    for edges in _outlines(weekdays, hours):
        drawn.add_shape(type="rect", **edges, **CHOSEN)
    return drawn


def _handles(table: pa.Table, weekday: list[int], hour: list[int]) -> go.Scatter:
    """Marks without colour over the cells: those of a heat map itself cannot be chosen."""
    flagged, judged = table.column("n_flagged").to_pylist(), table.column("n_judged").to_pylist()
    shares = [f"{rate:.2%}" if rate is not None else "-" for rate in table.column("rate").to_pylist()]
    told = [list(each) for each in zip(weekday, hour, flagged, judged, shares, strict=True)]
    unseen = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=hour,
        y=weekday,
        mode="markers",
        marker={"size": 22, "symbol": "square", "opacity": 0},
        selected=unseen,
        unselected=unseen,
        showlegend=False,
        customdata=told,
        text=[f"{DAY_NAMES[day]} {each:02d}:00-{each:02d}:59" for day, each in zip(weekday, hour, strict=True)],
        hovertemplate="%{text}<br>%{customdata[2]:,} of %{customdata[3]:,} judged rows flagged"
        " (%{customdata[4]})<extra></extra>",
    )


def _outlines(weekdays: frozenset[int] | None, hours: frozenset[int] | None) -> list[dict[str, float]]:
    """Edges of chosen cells, or of all cells of a weekday or of an hour."""
    if weekdays is None and hours is None:
        return []
    across = [(-0.5, HOURS - 0.5)] if hours is None else [(hour - 0.5, hour + 0.5) for hour in sorted(hours)]
    down = [(-0.5, WEEKDAYS - 0.5)] if weekdays is None else [(day - 0.5, day + 0.5) for day in sorted(weekdays)]
    return [{"x0": x[0], "x1": x[1], "y0": y[0], "y1": y[1]} for x in across for y in down]


def _flags(table: pa.Table, detectors: Sequence[str], together: str, *, x: str, written: str, mode: str) -> go.Figure:
    traces: list[Any] = []
    for name in (UNIFIED, *detectors):
        part = table.filter(pc.equal(table.column("detector"), name))
        at = part.column("at").to_pylist()
        line = {
            "x": at,
            "y": part.column("n_flagged").to_pylist(),
            "customdata": [each.strftime(written) for each in at],
        }
        if name == UNIFIED:
            bar = {"color": detector_colour(list(detectors), name), "opacity": 0.45}
            traces.append(go.Bar(**line, name=together, marker=bar))
        else:
            colour = {"color": detector_colour(list(detectors), name)}
            traces.append(go.Scatter(**line, name=readable(name), mode=mode, line=colour, marker=colour))
    drawn = figure(*traces, x=x, y="flagged transactions", bargap=0.1)
    return counted(drawn, pc.max(table.column("n_flagged")).as_py() or 0)
