"""Curves of thresholds count rows, and compared days become tables that add up."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from views.hand_made import HandMade, Tx

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.settings_record import RecordedDetector
from anomaly_assets.evidence.compare import ChangedFlag, ComparedDay, Comparison, Counts, compare_day
from anomaly_assets.views.digests import Digests, ScoredDay
from anomaly_assets.views.distribution import ANOMALY_SCORE, score_columns
from anomaly_assets.views.overview import totals
from anomaly_assets.views.selection import Selection
from anomaly_assets.views.what_if import (
    changed,
    days,
    organisations,
    rows_at,
    rows_by_threshold,
    threshold_for,
    threshold_step,
    two_sided_days,
)

DAY, NEXT = date(2024, 3, 4), date(2024, 3, 5)
ONE = Selection((DAY,))


def test_the_curve_counts_rows_at_or_above_each_threshold() -> None:
    """Bins of a score nobody foresaw are 0.05 wide: 0.02 and 0.04 share one."""
    values = (0.02, 0.04, 0.51, 0.51, 1.0)
    digests = HandMade({DAY: [*(Tx(scores={"a": value}) for value in values), Tx(judged="b")]})
    curve = rows_by_threshold(digests, ONE, "a_score")
    assert curve.column("threshold").to_pylist() == pytest.approx([0.0, 0.5, 1.0, 1.05])
    assert curve.column("n_rows").to_pylist() == [5, 3, 1, 0]
    assert [rows_at(curve, threshold) for threshold in (-1.0, 0.0, 0.3, 0.5, 1.0, 1.05, 9.0)] == [5, 5, 3, 3, 1, 0, 0]


class BothSides(HandMade):
    """Detector ``a`` compares the size of its score on these days."""

    two_sided: tuple[date, ...] = (DAY,)

    def detectors_of(self, scored: Any) -> list[RecordedDetector]:
        first, *others = super().detectors_of(scored)
        return [replace(first, decision={"two_sided": scored in self.two_sided}), *others]


SIGNED = [Tx(scores={"a": value, "b": value}) for value in (-4.02, -3.52, -0.02, 0.02, 3.52, 3.58)]


def test_a_two_sided_detector_is_counted_on_both_sides() -> None:
    digests = BothSides({DAY: SIGNED})
    curve = rows_by_threshold(digests, ONE, "a_score")
    assert [rows_at(curve, threshold) for threshold in (0.0, 3.5, 3.55, 4.0, 4.05)] == [6, 4, 2, 1, 0]
    assert threshold_for(curve, 4) == pytest.approx(3.5)
    other = rows_by_threshold(digests, ONE, "b_score")
    assert [rows_at(other, threshold) for threshold in (-5.0, 0.0, 3.5, 4.0)] == [6, 3, 2, 0]


def test_every_day_is_counted_as_it_was_judged() -> None:
    digests = BothSides({DAY: SIGNED, NEXT: SIGNED})
    both = Selection((DAY, NEXT))
    assert two_sided_days(digests, both, "a_score") == [DAY]
    assert two_sided_days(digests, both, "b_score") == two_sided_days(digests, both, ANOMALY_SCORE) == []
    assert rows_at(rows_by_threshold(digests, both, "a_score"), 3.5) == 4 + 2


class OnBothSides(Digests):
    """Digests of a home whose settings say that the detector of one score compares its size."""

    two_sided = ""

    def detectors_of(self, scored: ScoredDay) -> list[RecordedDetector]:
        return [
            replace(each, decision={**each.decision, "two_sided": each.score_column == self.two_sided})
            for each in super().detectors_of(scored)
        ]


def test_a_home_judged_on_both_sides_has_as_many_rows_beyond_its_threshold_as_flags(
    untouched: Home,
) -> None:
    """No detector is named: whichever was recorded as two-sided."""
    digests = OnBothSides(untouched)
    selection = Selection(tuple(digests.days()))
    score = next(iter(score_columns(digests, selection)))
    tables = [pq.read_table(untouched.published_path(day), partitioning=None) for day in selection.days]
    sizes = np.abs(np.concatenate([table.column(score).drop_null().to_numpy() for table in tables]))
    digests.two_sided = score
    curve = rows_by_threshold(digests, selection, score)
    assert [int(np.count_nonzero(sizes >= edge)) for edge in curve.column("threshold").to_pylist()] == curve.column(
        "n_rows"
    ).to_pylist()


def test_thresholds_to_choose_from_are_whole_bins() -> None:
    """Between them the rows of a bin would be left out of those at or above."""
    near = rows_by_threshold(HandMade({DAY: [Tx(scores={"a": value}) for value in (0.0, 1.0)]}), ONE, "a_score")
    assert threshold_step(near, "a_score") == pytest.approx(0.05)
    far = rows_by_threshold(HandMade({DAY: [Tx(scores={"a": value}) for value in (0.0, 25.0)]}), ONE, "a_score")
    assert threshold_step(far, "a_score") == pytest.approx(0.15)


def test_the_threshold_that_so_many_rows_reach_at_most() -> None:
    digests = HandMade({DAY: [Tx(scores={"a": value}) for value in (0.0, 0.5, 0.5, 1.0)]})
    curve = rows_by_threshold(digests, ONE, "a_score")
    found = [threshold_for(curve, rows) for rows in (4, 3, 2, 1, 0)]
    assert found == pytest.approx([0.0, 0.5, 1.0, 1.0, 1.05])


def test_without_scores_there_is_no_curve() -> None:
    curve = rows_by_threshold(HandMade({DAY: [Tx(judged="")]}), ONE, "a_score")
    assert curve.num_rows == 0
    assert threshold_for(curve, 3) is None
    assert rows_at(curve, 0.0) == 0


def test_only_the_chosen_organisations_are_on_the_curve() -> None:
    digests = HandMade({DAY: [Tx(org="x"), Tx(org=None), Tx(org=None)]})
    assert rows_at(rows_by_threshold(digests, Selection((DAY,), (None,)), "a_score"), 0.0) == 2


def test_curves_of_a_home_are_what_counting_its_rows_gives(untouched: Home) -> None:
    digests = Digests(untouched)
    selection = Selection(tuple(digests.days()))
    tables = [pq.read_table(untouched.published_path(day), partitioning=None) for day in selection.days]
    for measure in [*score_columns(digests, selection), ANOMALY_SCORE]:
        values = np.concatenate([table.column(measure).drop_null().to_numpy() for table in tables])
        curve = rows_by_threshold(digests, selection, measure)
        counted = [int(np.count_nonzero(values >= threshold)) for threshold in curve.column("threshold").to_pylist()]
        assert counted == curve.column("n_rows").to_pylist()
        assert counted[0] == len(values)


def test_every_flag_of_a_home_is_in_the_upper_half_of_the_anomaly_score(untouched: Home) -> None:
    """The flag line is 0.5; the bin that begins there may hold a row that lies on it."""
    digests = Digests(untouched)
    selection = Selection(tuple(digests.days()))
    curve = rows_by_threshold(digests, selection, ANOMALY_SCORE)
    assert rows_at(curve, 0.5) >= totals(digests, selection).total.n_flagged >= rows_at(curve, 0.51)


def flag(tx_id: str) -> ChangedFlag:
    return ChangedFlag(DAY, tx_id, "w", datetime(2024, 3, 4, 12, tzinfo=UTC), 1.0, None, "because")


def compared(*, truth: bool) -> Comparison:
    unknown: dict[str, Any] = {} if truth else {"planted": None, "found_then": None, "found_now": None}
    planted = {"planted": 2, "found_then": 1, "found_now": 2} if truth else unknown
    first = ComparedDay(
        DAY, {"x": Counts(10, 10, 10, 2, 3, 2, 1, **planted), None: Counts(rows=1, **unknown)}, [flag("p")], [flag("q")]
    )
    return Comparison([first, ComparedDay(NEXT, {"x": Counts(5, 5, 5, 1, 1, 0, 0, **unknown)}, [], [])])


def test_compared_days_become_a_table_by_organisation() -> None:
    table = organisations(compared(truth=True))
    assert table.to_pylist()[0] == {
        "org_name": "x",
        "rows": 15,
        "flagged_then": 3,
        "flagged_now": 4,
        "added": 2,
        "removed": 1,
        "recall_then": 0.5,
        "recall_now": 1.0,
        "precision_then": 1 / 3,
        "precision_now": 0.5,
    }
    assert table.column("org_name").to_pylist() == ["x", None]
    assert "recall_now" not in organisations(compared(truth=False)).column_names


def test_compared_days_become_a_table_by_day() -> None:
    assert days(compared(truth=True)).to_pylist() == [
        {"day": DAY, "flagged_then": 2, "flagged_now": 3, "added": 2, "removed": 1},
        {"day": NEXT, "flagged_then": 1, "flagged_now": 1, "added": 0, "removed": 0},
    ]


def test_changed_rows_are_told_with_their_day_and_reason() -> None:
    added = changed(compared(truth=True), "added")
    assert added.select(["day", "tx_id", "reason"]).to_pylist() == [{"day": DAY, "tx_id": "p", "reason": "because"}]
    assert changed(Comparison([]), "removed").num_rows == 0


def test_tables_of_compared_days_of_a_home_add_up(untouched: Home) -> None:
    digests = Digests(untouched)
    day = digests.days()[-1]
    score, name = next(iter(score_columns(digests, Selection((day,))).items()))
    lower = {f"{name}.{score}_threshold": "2.0"}
    found = Comparison([compare_day(untouched, day, lower)])
    assert changed(found, "added").num_rows == found.total.added > 0
    assert changed(found, "removed").num_rows == found.total.removed == 0
    table = organisations(found)
    assert pc.sum(table.column("flagged_now")).as_py() == days(found).column("flagged_now").to_pylist()[0]
    assert isinstance(table, pa.Table)
