"""Distributions hold every row that has the measure once, however bins are taken together."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from views.hand_made import HandMade, Tx

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.day_digest import AMOUNT, amount_position
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.distribution import (
    ANOMALY_SCORE,
    BESIDE_SCORES,
    HOUR,
    MOST_BINS,
    coarser,
    distribution,
    largest,
    score_columns,
)
from anomaly_assets.views.overview import judgements, not_judged, totals
from anomaly_assets.views.selection import Selection

DAY = date(2024, 3, 4)
ONE = Selection((DAY,))


def rows_of(table: pa.Table, *names: str) -> list[tuple[object, ...]]:
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))


def test_hours_are_counted_flagged_against_not() -> None:
    digests = HandMade({DAY: [Tx(hour=3), Tx(hour=3), Tx(hour=4), Tx("a", hour=3), Tx("b", hour=23)]})
    assert rows_of(distribution(digests, ONE, HOUR), "is_anomaly", "low", "high", "n_rows", "share") == [
        (False, 3.0, 4.0, 2, 2 / 3),
        (False, 4.0, 5.0, 1, 1 / 3),
        (True, 3.0, 4.0, 1, 0.5),
        (True, 23.0, 24.0, 1, 0.5),
    ]


def test_scores_of_rows_that_were_not_judged_are_in_no_bin() -> None:
    digests = HandMade({DAY: [Tx(scores={"a": 1.01}), Tx(judged="b"), Tx("a", scores={"a": 4.0})]})
    found = rows_of(distribution(digests, ONE, "a_score"), "is_anomaly", "n_rows", "share")
    assert found == [(False, 1, 1.0), (True, 1, 1.0)]


def test_organisations_apart_have_shares_of_their_own() -> None:
    days = {DAY: [Tx(org="x", hour=1), Tx(org="x", hour=2), Tx(org=None, hour=2), Tx("a", org="x", hour=2)]}
    found = rows_of(distribution(HandMade(days), ONE, HOUR, apart=True), "org_name", "is_anomaly", "low", "share")
    assert found == [("x", False, 1.0, 0.5), ("x", False, 2.0, 0.5), ("x", True, 2.0, 1.0), (None, False, 2.0, 1.0)]
    chosen = Selection((DAY,), (None,))
    assert rows_of(distribution(HandMade(days), chosen, HOUR), "low", "n_rows") == [(2.0, 1)]


def test_the_largest_organisations_come_first() -> None:
    days = {DAY: [Tx(org="b"), Tx(org="a"), Tx(org=None), Tx(org=None)]}
    assert largest(HandMade(days), ONE, 2) == [None, "a"]
    assert largest(HandMade(days), Selection((DAY,), ("b", "a")), 9) == ["a", "b"]


def test_a_measure_nobody_has_gives_an_empty_table() -> None:
    table = distribution(HandMade({DAY: [Tx(judged="")]}), ONE, "a_score")
    assert table.num_rows == 0
    assert table.column_names == ["org_name", "is_anomaly", "low", "high", "n_rows", "share"]


@pytest.mark.parametrize(
    ("bins", "step"), [([0], 1), ([0, 79], 1), ([0, 80], 2), ([-100, 59], 2), ([0, 399], 5), ([0, 400], 10)]
)
def test_bins_are_taken_together_in_steps_a_person_counts_in(bins: list[int], step: int) -> None:
    table = pa.table({"is_anomaly": [False] * len(bins), "bin": bins, "n_rows": [1] * len(bins)})
    assert coarser(table) == step


def test_a_few_rows_far_out_do_not_make_bins_wide() -> None:
    near = {"is_anomaly": [False] * 41, "bin": [*range(40), 10_000], "n_rows": [*([1_000] * 40), 3]}
    assert coarser(pa.table(near)) == 1
    flagged = pa.table({"is_anomaly": [True], "bin": [790], "n_rows": [1]})
    assert coarser(pa.concat_tables([pa.table(near), flagged])) == 10, "but flagged rows, few as they are, do"


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-1e4, 1e4), st.booleans()), min_size=1, max_size=30))
def test_every_value_is_in_a_bin_that_holds_it(values: list[tuple[float, bool]]) -> None:
    rows = [Tx("a" if flag else "", scores={"a": value}) for value, flag in values]
    table = distribution(HandMade({DAY: rows}), ONE, "a_score")
    left = {(row["is_anomaly"], row["low"], row["high"]): row["n_rows"] for row in table.to_pylist()}
    for value, flag in values:
        edges = [key for key in left if key[0] == flag and key[1] <= value < key[2]]
        assert len(edges) == 1, value
        left[edges[0]] -= 1
    assert not any(left.values())
    assert pc.sum(table.column("share")).as_py() == pytest.approx(len({flag for _, flag in values}))


def test_distributions_of_a_home_hold_all_its_rows(untouched: Home) -> None:
    digests = Digests(untouched)
    selection = Selection(tuple(digests.days()))
    counts = totals(digests, selection)
    scores = score_columns(digests, selection)
    assert list(scores.values()) == list(counts.by_detector)
    rows = {
        name: pc.sum(distribution(digests, selection, name).column("n_rows")).as_py()
        for name in [*BESIDE_SCORES, *scores]
    }
    assert rows[AMOUNT] == rows[HOUR] == counts.total.n_rows
    assert rows[ANOMALY_SCORE] == counts.total.n_judged
    why = not_judged(judgements(digests, selection)).to_pylist()
    missing = {name: sum(row["n_rows"] for row in why if row["detector"] == name) for name in counts.by_detector}
    assert all(rows[score] == counts.total.n_rows - missing[name] for score, name in scores.items())


def test_amounts_of_a_home_lie_in_their_bins(untouched: Home) -> None:
    digests = Digests(untouched)
    selection = Selection(tuple(digests.days()))
    flags = digests.read("flags", selection.days)
    positions = np.sort(amount_position(flags.column("TOTAL_AMOUNT").to_numpy()))
    table = distribution(digests, selection, AMOUNT)
    flagged = table.filter(table.column("is_anomaly"))
    edges = zip(flagged["low"].to_pylist(), flagged["high"].to_pylist(), flagged["n_rows"].to_pylist(), strict=True)
    for low, high, count in edges:
        assert np.count_nonzero((positions >= low) & (positions < high)) == count
    assert len({low for low, _ in rows_of(table, "low", "high")}) <= 2 * MOST_BINS
