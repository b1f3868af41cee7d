"""Organisations are compared with all others together, by intervals that are right for few transactions too."""

import math
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from evidence.conftest import DAYS
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly_assets.adapters.home import Home
from anomaly_assets.views import organisations
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.organisations import (
    ABOVE,
    ALIKE,
    BELOW,
    UNKNOWN,
    furthest,
    limits,
    one,
    peers,
    score_band,
    wilson,
)
from anomaly_assets.views.selection import Selection


@pytest.mark.parametrize(
    ("flagged", "judged", "low", "high"),
    [(0, 10, 0.0, 0.2775), (1, 10, 0.0179, 0.4042), (10, 100, 0.0552, 0.1744), (5, 5, 0.5655, 1.0)],
)
def test_the_interval_is_that_of_the_tables(flagged: int, judged: int, low: float, high: float) -> None:
    """As printed for Wilson's score interval at 95 %."""
    found = wilson(np.array([flagged]), np.array([judged]))
    assert [round(float(ends[0]), 4) for ends in found] == [low, high]


@settings(deadline=None)
@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_stays_within_0_and_1(counts: tuple[int, int]) -> None:
    flagged, judged = counts
    low, high = (float(ends[0]) for ends in wilson(np.array([flagged]), np.array([judged])))
    assert 0 <= low <= flagged / judged + 1e-12
    assert flagged / judged - 1e-12 <= high <= 1
    assert low < high


def test_nothing_judged_has_no_interval() -> None:
    assert all(np.isnan(ends[0]) for ends in wilson(np.array([0]), np.array([0])))


COUNTS: dict[str, list[Any]] = {
    "org_name": ["A", "B", "C", "D", None],
    "n_rows": [100, 1000, 1000, 10, 40],
    "n_judged": [100, 1000, 1000, 0, 30],
    "n_flagged": [20, 20, 2, 0, 1],
}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, home: Home) -> pa.Table:
    """Peers of ``COUNTS``."""
    monkeypatch.setattr(organisations, "counted", lambda *_: pa.table(COUNTS))
    return peers(Digests(home), Selection((date(2024, 1, 15),)))


def test_each_is_compared_with_all_others_together(found: pa.Table) -> None:
    """A: 20 % against 23 of 2,030; C: 0.2 % against 41 of 1,130; the one without a name is too small to differ."""
    standing = dict(zip(found.column("org_name").to_pylist(), found.column("standing").to_pylist(), strict=True))
    assert standing == {"A": ABOVE, "B": ALIKE, "C": BELOW, "D": UNKNOWN, None: ALIKE}
    row = one(found, "A")
    assert row is not None
    assert (row.rate, row.others_rate) == (0.2, 23 / 2030)
    row = one(found, None)
    assert row is not None
    assert (row.coverage, row.rate, row.others_rate) == (0.75, 1 / 30, 42 / 2100)
    row = one(found, "D")
    assert row is not None
    assert (row.coverage, row.rate, row.low, row.high) == (0.0, None, None, None)
    assert one(found, "nobody") is None


def test_the_furthest_above_come_first_and_those_not_judged_last(found: pa.Table) -> None:
    assert found.column("org_name").to_pylist() == ["A", None, "B", "C", "D"]


def test_the_furthest_are_those_above_and_below(found: pa.Table) -> None:
    assert furthest(found, 2).column("org_name").to_pylist() == ["A", "C"]
    assert furthest(found, 10).num_rows == 4


def test_limits_narrow_with_size_around_the_rate_of_all(found: pa.Table) -> None:
    drawn = limits(found)
    width = drawn.column("high").to_numpy() - drawn.column("low").to_numpy()
    assert (np.diff(width) < 0).all()
    assert drawn.column("rate").to_pylist()[0] == 43 / 2130
    sizes = drawn.column("n_judged").to_pylist()
    assert (round(sizes[0]), round(sizes[-1])) == (30, 1000)


def share_inside(rate: float, n_judged: int) -> float:
    """How probably an organisation whose true rate is ``rate`` lies within the band: the exact binomial sum."""
    low, high = (float(ends[0]) for ends in score_band(rate, np.array([n_judged])))
    return math.fsum(
        math.comb(n_judged, flagged) * rate**flagged * (1 - rate) ** (n_judged - flagged)
        for flagged in range(n_judged + 1)
        if low <= flagged / n_judged <= high
    )


@pytest.mark.parametrize(
    ("rate", "n_judged"), [(0.01, 200), (0.01, 1000), (0.02, 500), (0.05, 200), (0.2, 50), (0.5, 40)]
)
def test_about_95_of_100_organisations_like_all_lie_within_the_limits(rate: float, n_judged: int) -> None:
    """Whole flags make it a little more or less; an interval for an unknown share would hold 99 of 100 of the first."""
    assert 0.94 <= share_inside(rate, n_judged) <= 0.975


def test_five_percent_of_fifty_is_not_like_one_percent() -> None:
    low, high = score_band(0.01, np.array([50]))
    assert (low[0], round(high[0], 4)) == (0.0, 0.0376)


def test_the_limits_are_the_band_of_the_rate_of_all(found: pa.Table) -> None:
    drawn = limits(found)
    low, high = score_band(43 / 2130, drawn.column("n_judged").to_numpy())
    assert drawn.column("low").to_pylist() == low.tolist()
    assert drawn.column("high").to_pylist() == high.tolist()


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.001, 0.999))
def test_a_rate_lies_within_the_band_where_its_interval_holds_the_rate_of_the_others(
    counts: tuple[int, int], others: float
) -> None:
    """So dots within the band are those that have no colour."""
    flagged, judged = np.array([counts[0]]), np.array([counts[1]])
    (low,), (high,) = score_band(others, judged)
    (least,), (most,) = wilson(flagged, judged)
    near = min(abs(counts[0] / counts[1] - end) for end in (low, high)) < 1e-9
    assert near or (low <= counts[0] / counts[1] <= high) == (least <= others <= most)


def test_nothing_judged_anywhere_draws_nothing(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    none = {**COUNTS, "n_judged": [0] * 5, "n_flagged": [0] * 5}
    monkeypatch.setattr(organisations, "counted", lambda *_: pa.table(none))
    found = peers(Digests(home), Selection((date(2024, 1, 15),)))
    assert set(found.column("standing").to_pylist()) == {UNKNOWN}
    assert limits(found).num_rows == furthest(found, 5).num_rows == 0


def test_an_only_organisation_has_no_others(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    alone = {name: values[:1] for name, values in COUNTS.items()}
    monkeypatch.setattr(organisations, "counted", lambda *_: pa.table(alone))
    (row,) = peers(Digests(home), Selection((date(2024, 1, 15),))).to_pylist()
    assert (row["others_rate"], row["standing"]) == (None, UNKNOWN)


def test_the_others_are_unknown_when_nothing_of_them_is_judged(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    """A is judged, D beside it is not."""
    two = {name: [values[0], values[3]] for name, values in COUNTS.items()}
    monkeypatch.setattr(organisations, "counted", lambda *_: pa.table(two))
    found = peers(Digests(home), Selection((date(2024, 1, 15),)))
    assert found.column("org_name").to_pylist() == ["A", "D"]
    assert set(found.column("standing").to_pylist()) == {UNKNOWN}
    assert limits(found).num_rows == 0


def test_peers_of_a_home_hold_every_organisation_whatever_is_chosen(home: Home) -> None:
    digests = Digests(home)
    everybody = peers(digests, Selection(tuple(DAYS)))
    names = everybody.column("org_name").to_pylist()
    assert everybody.equals(peers(digests, Selection(tuple(DAYS), (names[0],))))
    assert set(names) == set(digests.read("statuses", DAYS).column("org_name").to_pylist())
    assert len(names) == len(set(names)) > 1
