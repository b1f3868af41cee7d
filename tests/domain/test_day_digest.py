"""A day in little says what counting all its rows says: nothing is lost, nothing is counted twice."""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.day_digest import (
    AMOUNT,
    CELLS,
    COUNTS,
    HISTOGRAMS,
    MOST_DETECTORS,
    OTHER_BIN_WIDTH,
    STATUSES,
    amount_at,
    amount_position,
    bin_width,
    bits_of,
    cells,
    counts,
    flags,
    histograms,
    statuses,
)
from anomaly_assets.domain.schema import TIME

DETECTORS = ["first", "second"]
SCORES = {"zscore": "is_anomaly", "second_score": "second_anomaly"}
"""With the flag that the detector counts for: the second one's is its own."""
WIDTHS = {"zscore": 0.1, "isolation_forest_score": 0.005, "anomaly_score": 0.01, AMOUNT: 0.05}
STATES = ["judged", "no_history", "insufficient_history"]
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Row:
    """What a digest looks at in a scored row; a detector that did not judge has no score and flags nothing."""

    org: str | None
    hour: int
    amount: float
    statuses: tuple[str, str]
    flags: tuple[bool, bool]
    scores: tuple[float | None, float | None]
    anomaly_score: float | None

    @property
    def flagged(self) -> bool:
        return any(self.flags)


numbers = st.floats(-1e6, 1e6) | st.integers(-80, 80).map(lambda step: step * 0.1)


@st.composite
def scored_rows(draw: st.DrawFn) -> Row:
    states = draw(st.tuples(st.sampled_from(STATES), st.sampled_from(STATES)))
    judged = [state == "judged" for state in states]
    marks = [known and draw(st.booleans()) for known in judged]
    scores = [draw(numbers) if known else None for known in judged]
    return Row(
        draw(st.none() | st.sampled_from(["", "a", "é"])),
        draw(st.integers(0, 23)),
        draw(st.floats(-1e15, 1e15)),
        states,
        (marks[0], marks[1]),
        (scores[0], scores[1]),
        draw(st.floats(0, 1, exclude_max=True)) if any(judged) else None,
    )


def table_of(rows: list[Row]) -> pa.Table:
    """Published rows, as far as digests read them."""
    return pa.table(
        {
            "TX_ID": pa.array([f"tx{place}" for place in range(len(rows))], pa.string()),
            "TX_COMPLETED_AT": pa.array([datetime(2024, 3, 1, row.hour, 59, tzinfo=UTC) for row in rows], TIME),
            "TOTAL_AMOUNT": pa.array([row.amount for row in rows], pa.float64()),
            "ORG_NAME": pa.array([row.org for row in rows], pa.string()),
            "is_anomaly": pa.array([row.flagged for row in rows], pa.bool_()),
            "anomaly_score": pa.array([row.anomaly_score for row in rows], pa.float64()),
            **{name: pa.array([row.scores[n] for row in rows], pa.float64()) for n, name in enumerate(SCORES)},
            **{f"{d}_anomaly": pa.array([r.flags[n] for r in rows], pa.bool_()) for n, d in enumerate(DETECTORS)},
            **{f"{d}_status": pa.array([r.statuses[n] for r in rows], pa.string()) for n, d in enumerate(DETECTORS)},
            **{f"{d}_model_id": pa.array(["id"] * len(rows), pa.string()) for d in DETECTORS},
        }
    )


def counted(table: pa.Table) -> Counter[tuple[object, ...]]:
    """Rows by key, from a digest."""
    found: Counter[tuple[object, ...]] = Counter()
    for row in table.to_pylist():
        found[tuple(value for name, value in row.items() if name != "n_rows")] += row["n_rows"]
    assert len(found) == table.num_rows, "every key occurs once"
    return found


@calm
@given(st.lists(scored_rows(), max_size=30))
def test_cells_are_what_counting_one_by_one_gives(rows: list[Row]) -> None:
    made = cells(table_of(rows), DETECTORS)
    naive = Counter(
        (
            row.org,
            row.hour,
            sum(1 << n for n in range(2) if row.statuses[n] == "judged"),
            sum(1 << n for n in range(2) if row.flags[n]),
        )
        for row in rows
    )
    assert counted(made) == naive
    assert made.schema.equals(CELLS)


@calm
@given(st.lists(scored_rows(), max_size=30))
def test_counts_are_cells_whatever_their_hour(rows: list[Row]) -> None:
    naive: Counter[tuple[object, ...]] = Counter()
    for (org, _, judged, flagged), count in counted(cells(table_of(rows), DETECTORS)).items():
        naive[org, judged, flagged] += count
    made = counts(table_of(rows), DETECTORS)
    assert counted(made) == naive
    assert made.schema.equals(COUNTS)


@calm
@given(st.lists(scored_rows(), max_size=30))
def test_statuses_are_what_counting_one_by_one_gives(rows: list[Row]) -> None:
    made = statuses(table_of(rows), DETECTORS)
    assert counted(made) == Counter((row.org, d, row.statuses[n]) for row in rows for n, d in enumerate(DETECTORS))
    assert made.schema.equals(STATUSES)


@calm
@given(st.lists(scored_rows(), max_size=30))
def test_histograms_count_every_known_value_once_in_the_bin_it_lies_in(rows: list[Row]) -> None:
    made = histograms(table_of(rows), SCORES)
    assert made.schema.equals(HISTOGRAMS)
    positions = amount_position(np.array([row.amount for row in rows])).tolist()
    values: dict[str, list[tuple[Row, float | None]]] = {
        AMOUNT: list(zip(rows, positions, strict=True)),
        "anomaly_score": [(row, row.anomaly_score) for row in rows],
        **{name: [(row, row.scores[n]) for row in rows] for n, name in enumerate(SCORES)},
    }
    left = counted(made)
    for measure, pairs in values.items():
        width = bin_width(measure)
        for row, value in pairs:
            if value is None:
                continue
            holding = [b for b in _near(value, width) if b * width <= value < (b + 1) * width]
            assert len(holding) == 1, "bins leave no gap and do not overlap"
            flagged = row.flags[1] if measure == "second_score" else row.flagged
            left[row.org, measure, flagged, holding[0]] -= 1
    assert not any(left.values())


def _near(value: float, width: float) -> range:
    return range(math.floor(value / width) - 1, math.floor(value / width) + 2)


@calm
@given(st.lists(scored_rows(), max_size=30))
def test_flags_are_the_flagged_rows_without_ids_of_models(rows: list[Row]) -> None:
    scored = table_of(rows)
    made = flags(scored, DETECTORS)
    assert made.column("TX_ID").to_pylist() == [f"tx{place}" for place, row in enumerate(rows) if row.flagged]
    assert made.column_names == [name for name in scored.column_names if not name.endswith("_model_id")]
    assert made.equals(scored.filter(scored.column("is_anomaly")).select(made.column_names))


@calm
@given(st.data(), st.lists(scored_rows(), min_size=1, max_size=15))
def test_a_digest_does_not_depend_on_the_order_or_the_chunks_of_rows(data: st.DataObject, rows: list[Row]) -> None:
    chunked = pa.concat_tables([table_of([row]) for row in data.draw(st.permutations(rows))])
    assert cells(chunked, DETECTORS).equals(cells(table_of(rows), DETECTORS))
    assert statuses(chunked, DETECTORS).equals(statuses(table_of(rows), DETECTORS))
    assert histograms(chunked, SCORES).equals(histograms(table_of(rows), SCORES))


@given(st.floats(-1e15, 1e15))
def test_the_amount_at_a_position_is_the_amount_that_lies_there(amount: float) -> None:
    assert float(amount_at(amount_position(np.array([amount])))[0]) == pytest.approx(amount, rel=1e-9, abs=1e-9)


@given(st.floats(-1e15, 1e15), st.floats(-1e15, 1e15))
def test_larger_amounts_never_lie_lower(one: float, other: float) -> None:
    low, high = amount_position(np.array(sorted([one, other]))).tolist()
    assert low <= high


def test_positions_are_those_worked_out_by_hand() -> None:
    assert amount_position(np.array([0.0, 9.0, 99.0, -999.0])).tolist() == [0.0, 1.0, 2.0, -3.0]
    assert amount_at(np.array([0.0, 1.0, 2.0, -3.0])).tolist() == [0.0, 9.0, 99.0, -999.0]


def test_a_small_day_worked_out_by_hand() -> None:
    both, one = ("judged", "judged"), ("judged", "no_history")
    rows = [
        Row("a", 3, 99.0, both, (True, False), (4.0, 0.12), 0.6),
        Row("a", 3, 99.0, both, (True, False), (4.05, -0.01), 0.6),
        Row(None, 23, 0.0, one, (False, False), (-0.05, None), 0.0),
    ]
    scored = table_of(rows)
    assert cells(scored, DETECTORS).to_pylist() == [
        {"org_name": "a", "hour": 3, "judged": 0b11, "flagged": 0b01, "n_rows": 2},
        {"org_name": None, "hour": 23, "judged": 0b01, "flagged": 0b00, "n_rows": 1},
    ]
    made = histograms(scored, SCORES)
    assert counted(made) == Counter(
        {
            ("a", AMOUNT, True, 40): 2,
            (None, AMOUNT, False, 0): 1,
            ("a", "zscore", True, 40): 2,
            (None, "zscore", False, -1): 1,
            ("a", "second_score", False, 2): 1,
            ("a", "second_score", False, -1): 1,
            ("a", "anomaly_score", True, 60): 2,
            (None, "anomaly_score", False, 0): 1,
        }
    )
    amounts = made.filter(pc.equal(made.column("measure"), AMOUNT))
    assert pc.sum(amounts.column("n_rows")).as_py() == 3, "every row has an amount"


@pytest.mark.parametrize(("score", "holds"), [(-308 * 0.1, -308), (np.nextafter(-308 * 0.1, -np.inf), -309)])
def test_scores_at_an_edge_are_in_the_bin_above_it_whatever_a_division_rounds(score: float, holds: int) -> None:
    row = Row("a", 0, 1.0, ("judged", "judged"), (False, False), (float(score), 0.0), 0.1)
    made = histograms(table_of([row]), SCORES)
    assert made.filter(pc.equal(made.column("measure"), "zscore")).column("bin").to_pylist() == [holds]


def test_a_measure_nobody_foresaw_has_bins_too() -> None:
    assert bin_width("third_score") == OTHER_BIN_WIDTH
    assert {each: bin_width(each) for each in WIDTHS} == WIDTHS


def test_more_detectors_than_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="33 detectors"):
        cells(table_of([]), ["d"] * (MOST_DETECTORS + 1))
    many = [f"d{number}" for number in range(MOST_DETECTORS + 1)]
    with pytest.raises(ValueError, match="33 detectors"):
        bits_of(many, many[-1:], np.ones(1, np.uint32))


def test_the_last_of_many_detectors_has_a_bit_of_its_own() -> None:
    many = [f"d{number}" for number in range(MOST_DETECTORS)]
    assert bits_of(many, [many[-1], many[0]], np.array([0b01, 0b10, 0b11], np.uint32)).tolist() == [2**31, 1, 2**31 + 1]


def test_a_digest_of_an_empty_day_is_empty() -> None:
    assert [part.num_rows for part in (cells(table_of([]), DETECTORS), histograms(table_of([]), SCORES))] == [0, 0]
    assert statuses(table_of([]), []).schema.equals(STATUSES)
