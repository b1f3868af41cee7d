"""Figures name their axes, take the ground they are shown on, and hold the numbers of their tables."""

import json
from datetime import date

import plotly.graph_objects as go
import pytest
from views.hand_made import HandMade, Tx

from anomaly_assets.dashboard.figures import comparison, distributions, timeline
from anomaly_assets.dashboard.figures.distributions import Look
from anomaly_assets.dashboard.figures.style import DETECTOR_COLOURS, FEW, detector_colour, whole_ticks
from anomaly_assets.domain.day_digest import AMOUNT
from anomaly_assets.views import agreement, distribution, what_if
from anomaly_assets.views.selection import Selection
from anomaly_assets.views.timeline import by_hour_and_weekday, flags_over_time

DAY, NEXT = date(2024, 3, 4), date(2024, 3, 5)
DETECTORS = ["a", "b", "c"]
HOSTILE = "<b>x</b><a href='https://elsewhere.example'>y</a>"
DIGESTS = HandMade(
    {
        DAY: [Tx("a", org=HOSTILE, hour=3), Tx("ab", scores={"a": 4.0}, wallet=HOSTILE), Tx(org=None, amount=-50.0)],
        NEXT: [Tx("abc"), Tx(judged="")],
    },
    "abc",
    sizes=["w"],
)
ALL = Selection((DAY, NEXT))


def figures() -> dict[str, go.Figure]:
    """One of each kind."""
    flags = DIGESTS.read("flags", ALL.days)
    masks = agreement.masks_of(flags, DETECTORS).tolist()
    sets, deciles = agreement.sets_over_time(DIGESTS, ALL), agreement.by_decile(DIGESTS, ALL)
    curve = what_if.rows_by_threshold(DIGESTS, ALL, "a_score")
    amounts = distribution.distribution(DIGESTS, ALL, AMOUNT)
    apart = distribution.distribution(DIGESTS, ALL, AMOUNT, apart=True)
    heat = by_hour_and_weekday(DIGESTS, ALL)
    return {
        "sets": comparison.sets_over_time(sets, DETECTORS, sets.column("flagged").to_pylist()),
        "agreement": comparison.agreement_over_time(agreement.agreement_over_time(DIGESTS, ALL)),
        "rates": comparison.rate_by_decile(deciles, DETECTORS),
        "decile agreement": comparison.agreement_by_decile(deciles),
        "scatter": comparison.scores_against_each_other(flags, masks, DETECTORS, "a_score", "b_score"),
        "curve": comparison.rows_by_threshold(curve, "a score", threshold=1.0, published=3, reach="at or above"),
        "histogram": distributions.histogram(amounts, Look(AMOUNT, "amount", share=False, logarithmic=True)),
        "apart": distributions.small_multiples(apart, Look(AMOUNT, "amount"), [HOSTILE, "org", None], "(none)"),
        "by day": timeline.flags_by_day(flags_over_time(DIGESTS, ALL), DETECTORS, chosen=(DAY, DAY)),
        "by hour": timeline.flags_by_hour(flags_over_time(DIGESTS, ALL, hourly=True), DETECTORS),
        "heat map": timeline.heat_map(heat, "rate", weekdays=frozenset({0}), hours=frozenset({3})),
    }


FIGURES = figures()


@pytest.mark.parametrize("name", FIGURES)
def test_axes_are_named_and_no_ground_is_painted(name: str) -> None:
    drawn = FIGURES[name]
    told = [drawn.layout.xaxis.title.text, drawn.layout.yaxis.title.text]
    shared = [each.text for each in drawn.layout.annotations]
    assert all(text or shared for text in told)
    own = go.Figure(drawn).update_layout(template="none")
    assert own.layout.paper_bgcolor is None
    assert own.layout.plot_bgcolor is None
    colours = set(json.dumps(own.to_plotly_json(), default=str).lower().split('"'))
    assert not {"#000", "#fff", "black", "white", "#000000", "#ffffff"} & colours


@pytest.mark.parametrize("name", FIGURES)
def test_text_of_others_is_not_taken_for_markup(name: str) -> None:
    assert "<b>x" not in FIGURES[name].to_json().replace("\\u003c", "<")


def test_sets_are_named_by_their_detectors() -> None:
    names = [comparison.set_name(["one_way", "other"], mask) for mask in (1, 2, 3)]
    assert names == ["one way only", "other only", "one way and other"]


def test_more_detectors_than_colours_have_colours_too() -> None:
    many = [f"d{number}" for number in range(len(DETECTOR_COLOURS) + 1)]
    assert detector_colour(many, many[-1]) == detector_colour(many, many[0])


def test_bars_of_days_stand_for_all_flags_and_lines_for_each_detector() -> None:
    drawn = FIGURES["by day"]
    assert [list(trace.y) for trace in drawn.data] == [[2, 1], [2, 1], [1, 1], [0, 1]]
    assert list(drawn.data[0].customdata) == ["2024-03-04", "2024-03-05"]


def test_cells_of_the_heat_map_know_what_they_stand_for() -> None:
    handles = FIGURES["heat map"].data[1]
    assert list(handles.customdata[3]) == [0, 3, 1, 1, "100.00%"]
    assert handles.text[3] == "Monday 03:00-03:59"


def test_amounts_have_ticks_at_powers_of_ten() -> None:
    axis = FIGURES["histogram"].layout.xaxis
    assert list(axis.ticktext) == ["-10", "-1", "0", "1", "10"]


def test_a_curve_ends_where_no_row_is_left() -> None:
    assert list(FIGURES["curve"].data[0].y) == [4, 1, None]


def test_few_flags_are_counted_in_whole_numbers() -> None:
    """Ticks at 0.2 flags, or at 0, 0, 1 and 1, are no counts."""
    assert (whole_ticks(1), whole_ticks(FEW), whole_ticks(FEW + 1)) == (1, 1, None)
    heat = by_hour_and_weekday(DIGESTS, ALL)
    assert max(heat.column("n_flagged").to_pylist()) <= FEW
    drawn = timeline.heat_map(heat, "n_flagged", weekdays=None, hours=None)
    assert drawn.data[0].colorbar.dtick == 1
    assert timeline.heat_map(heat, "rate", weekdays=None, hours=None).data[0].colorbar.dtick is None
