"""Every mark of the timeline counts the rows that are shown behind it."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from views.hand_made import HandMade, Tx

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.errors import NotSealed
from anomaly_assets.domain.metrics import UNIFIED
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.overview import totals
from anomaly_assets.views.selection import Selection
from anomaly_assets.views.timeline import (
    Focus,
    all_rows,
    by_hour_and_weekday,
    flagged_rows,
    flags_over_time,
)

MONDAY, TUESDAY, NEXT_MONDAY = date(2024, 3, 4), date(2024, 3, 5), date(2024, 3, 11)
ALL = Selection((MONDAY, TUESDAY, NEXT_MONDAY))
DAYS = {
    MONDAY: [Tx("a", hour=3), Tx("ab", hour=3), Tx(hour=3), Tx(hour=9, judged="a")],
    TUESDAY: [Tx(hour=0, judged="")],
    NEXT_MONDAY: [Tx("b", hour=3, org=None), Tx(hour=23)],
}


def rows_of(table: pa.Table, *names: str) -> list[tuple[object, ...]]:
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))


def of_detector(table: pa.Table, name: str) -> pa.Table:
    return table.filter(pc.equal(table.column("detector"), name))


def test_every_day_is_on_the_timeline_for_all_together_and_for_each() -> None:
    table = flags_over_time(HandMade(DAYS), ALL)
    assert rows_of(of_detector(table, UNIFIED), "at", "n_judged", "n_flagged", "rate") == [
        (MONDAY, 4, 2, 0.5),
        (TUESDAY, 0, 0, None),
        (NEXT_MONDAY, 2, 1, 0.5),
    ]
    assert rows_of(of_detector(table, "a"), "n_judged", "n_flagged") == [(4, 2), (0, 0), (2, 0)]
    assert rows_of(of_detector(table, "b"), "n_judged", "n_flagged") == [(3, 1), (0, 0), (2, 1)]


def test_hours_are_told_in_utc_and_none_is_left_out() -> None:
    table = of_detector(flags_over_time(HandMade(DAYS), Selection((MONDAY, TUESDAY)), hourly=True), UNIFIED)
    assert table.num_rows == 48
    flagged = table.filter(pc.greater(table.column("n_flagged"), 0))
    assert rows_of(flagged, "at", "n_flagged") == [(datetime(2024, 3, 4, 3, tzinfo=UTC), 2)]


def test_the_heat_map_has_every_hour_of_every_weekday() -> None:
    table = by_hour_and_weekday(HandMade(DAYS), ALL)
    assert rows_of(table, "weekday", "hour") == [(day, hour) for day in range(7) for hour in range(24)]
    some = table.filter(pc.greater(table.column("n_judged"), 0))
    assert rows_of(some, "weekday", "hour", "n_judged", "n_flagged", "rate") == [
        (0, 3, 4, 3, 0.75),
        (0, 9, 1, 0, 0.0),
        (0, 23, 1, 0, 0.0),
    ]
    of_b = by_hour_and_weekday(HandMade(DAYS), Selection(ALL.days, ("org",)), "b")
    assert rows_of(of_b.slice(3, 1), "n_judged", "n_flagged") == [(3, 1)]


@pytest.mark.parametrize("day", [date(1969, 12, 29), date(1970, 1, 1), date(2024, 2, 29), date(2026, 11, 28)])
def test_weekdays_are_those_of_the_calendar(day: date) -> None:
    table = by_hour_and_weekday(HandMade({day: [Tx()]}), Selection((day,)))
    assert table.filter(pc.greater(table.column("n_judged"), 0)).column("weekday").to_pylist() == [day.weekday()]


@pytest.mark.parametrize(
    ("focus", "ids"),
    [
        (Focus(), ["2024-03-04-0", "2024-03-04-1", "2024-03-11-0"]),
        (Focus(days=(MONDAY, TUESDAY)), ["2024-03-04-0", "2024-03-04-1"]),
        (Focus(weekdays=frozenset({1})), []),
        (Focus(weekdays=frozenset({2})), []),
        (Focus(hours=frozenset({9})), []),
        (Focus(weekdays=frozenset({0}), hours=frozenset({3, 9}), detector="b"), ["2024-03-04-1", "2024-03-11-0"]),
    ],
)
def test_the_rows_behind_a_mark(focus: Focus, ids: list[str]) -> None:
    rows = flagged_rows(HandMade(DAYS), ALL, focus)
    assert rows.column("TX_ID").to_pylist() == ids
    assert "reason" in rows.column_names


def test_every_cell_and_every_day_of_a_home_counts_the_rows_behind_it(untouched: Home) -> None:
    digests = Digests(untouched)
    selection = Selection(tuple(digests.days()))
    table = by_hour_and_weekday(digests, selection)
    assert pc.sum(table.column("n_flagged")).as_py() == totals(digests, selection).total.n_flagged > 0
    for cell in table.filter(pc.greater(table.column("n_flagged"), 0)).to_pylist():
        focus = Focus(weekdays=frozenset({cell["weekday"]}), hours=frozenset({cell["hour"]}))
        assert flagged_rows(digests, selection, focus).num_rows == cell["n_flagged"]
    for mark in flags_over_time(digests, selection).to_pylist():
        focus = Focus(days=(mark["at"], mark["at"]), detector=mark["detector"])
        assert flagged_rows(digests, selection, focus).num_rows == mark["n_flagged"]


def test_all_rows_of_a_day_at_some_hours_hold_the_flagged_ones(untouched: Home) -> None:
    digests = Digests(untouched)
    selection = Selection(tuple(digests.days()))
    day = selection.days[-1]
    every = all_rows(digests, selection, Focus(), day)
    cells = digests.read("cells", (day,))
    assert every.num_rows == pc.sum(cells.column("n_rows")).as_py()
    noon = Focus(days=(day, day), hours=frozenset({12, 13}))
    rows = all_rows(digests, selection, noon, day)
    assert (
        rows.num_rows
        == pc.sum(cells.filter(pc.is_in(cells.column("hour"), pa.array([12, 13], pa.uint8()))).column("n_rows")).as_py()
    )
    flagged = rows.filter(rows.column("is_anomaly")).column("TX_ID").to_pylist()
    assert sorted(flagged) == sorted(flagged_rows(digests, selection, noon).column("TX_ID").to_pylist())
    assert not [name for name in rows.column_names if name.endswith("_model_id")]


def test_a_day_that_is_not_scored_is_told(untouched: Home) -> None:
    digests = Digests(untouched)
    with pytest.raises(NotSealed):
        all_rows(digests, Selection(tuple(digests.days())), Focus(), date(2023, 1, 1))
