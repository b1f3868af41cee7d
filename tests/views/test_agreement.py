"""Where detectors agree is counted by the set that flagged a row, for two detectors and for three."""

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from views.hand_made import HandMade, Tx

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.metrics import NO_HISTORY, UNIFIED
from anomaly_assets.views.agreement import (
    agreement,
    agreement_over_time,
    by_decile,
    by_set,
    examples,
    masks_of,
    members,
    sets_over_time,
)
from anomaly_assets.views.counts import detector_names
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.overview import totals
from anomaly_assets.views.selection import Selection

MONDAY, TUESDAY, WEDNESDAY = date(2024, 3, 4), date(2024, 3, 5), date(2024, 3, 6)
DAYS = (MONDAY, TUESDAY, WEDNESDAY)
ALL = Selection(DAYS)
TWO = {
    MONDAY: [Tx("a"), Tx("a"), Tx("b", org=None), Tx("ab"), Tx()],
    TUESDAY: [Tx("b"), Tx("a", judged="a")],
    WEDNESDAY: [Tx(), Tx(judged="")],
}


def pairs(table: pa.Table, *names: str) -> list[tuple[object, ...]]:
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))


def test_flagged_rows_are_counted_by_the_set_that_flagged_them() -> None:
    digests = HandMade(TWO)
    assert pairs(by_set(digests, ALL), "flagged", "n_rows") == [(0b01, 3), (0b10, 2), (0b11, 1)]
    assert pairs(sets_over_time(digests, ALL), "day", "flagged", "n_rows") == [
        (MONDAY, 0b01, 2),
        (MONDAY, 0b10, 1),
        (MONDAY, 0b11, 1),
        (TUESDAY, 0b01, 1),
        (TUESDAY, 0b10, 1),
    ]


def test_sets_that_nobody_flagged_are_named_while_they_are_few() -> None:
    """Each detector alone and all together are always there; with three, pairs only when there are such rows."""
    nothing = HandMade({MONDAY: [Tx()]}, "abc")
    assert pairs(by_set(nothing, Selection((MONDAY,))), "flagged", "n_rows") == [(1, 0), (2, 0), (4, 0), (7, 0)]
    some = HandMade({MONDAY: [Tx("ac"), Tx("c")]}, "abc")
    assert pairs(by_set(some, Selection((MONDAY,))), "flagged", "n_rows") == [(1, 0), (2, 0), (4, 1), (5, 1), (7, 0)]
    assert members(["a", "b", "c"], 0b101) == ["a", "c"]


def test_only_rows_of_the_chosen_organisations_count() -> None:
    digests = HandMade(TWO)
    nobody = Selection(DAYS, (None,))
    assert pairs(by_set(digests, nobody), "flagged", "n_rows") == [(0b01, 0), (0b10, 1), (0b11, 0)]
    assert examples(digests, nobody, 0b10).column("TX_ID").to_pylist() == ["2024-03-04-2"]


def test_agreement_over_time_has_every_day_and_is_null_where_nothing_is_flagged() -> None:
    """Monday: 1 of 4 flagged rows has both flags; Tuesday: none of 2."""
    table = agreement_over_time(HandMade(TWO), ALL)
    assert pairs(table, "day", "n_flagged", "agreement") == [(MONDAY, 4, 0.25), (TUESDAY, 2, 0.0), (WEDNESDAY, 0, None)]


@pytest.mark.parametrize(
    ("flags", "rows", "others", "expected"),
    [(4, 4, 4, 0.0), (8, 4, 4, 1.0), (5, 4, 4, 0.25), (6, 3, 6, 0.5), (9, 3, 6, 1.0), (0, 0, 0, None), (4, 4, 0, None)],
)
def test_agreement_goes_from_single_flags_to_flags_of_all(
    flags: int, rows: int, others: int, expected: float | None
) -> None:
    assert agreement(flags, rows, others) == expected


def test_deciles_have_rates_coverage_and_agreement_over_the_whole_period() -> None:
    """Two wallets: the smaller is in decile 1, the larger in 6; a third has no history."""
    days = {
        MONDAY: [Tx("a", wallet="small"), Tx("ab", wallet="large"), Tx(wallet="new", judged="")],
        TUESDAY: [Tx("a", wallet="large"), Tx(wallet="large"), Tx(wallet="large", judged="a")],
    }
    table = by_decile(HandMade(days, sizes=["small", "large"]), Selection((MONDAY, TUESDAY)))
    unified = table.filter(pc.equal(table.column("detector"), UNIFIED))
    assert pairs(unified, "decile", "n_rows", "n_judged", "n_flagged", "coverage", "rate", "agreement") == [
        ("1", 1, 1, 1, 1.0, 1.0, 0.0),
        ("6", 4, 4, 2, 1.0, 0.5, 0.5),
        (NO_HISTORY, 1, 0, 0, 0.0, None, None),
    ]
    of_b = table.filter(pc.equal(table.column("detector"), "b"))
    assert pairs(of_b, "decile", "n_judged", "n_flagged", "agreement")[1] == ("6", 3, 1, None)


def test_without_metrics_there_are_no_deciles() -> None:
    assert by_decile(HandMade(TWO), Selection(())).num_rows == 0


def test_examples_are_the_rows_that_exactly_these_flagged(untouched: Home) -> None:
    """Of a scored home, row by row, and as many as the sets were counted."""
    digests = Digests(untouched)
    selection = Selection(tuple(digests.days()))
    detectors = detector_names(digests, selection.days)
    seen = 0
    for mask, count in pairs(by_set(digests, selection), "flagged", "n_rows"):
        assert isinstance(mask, int)
        rows = examples(digests, selection, mask)
        assert rows.num_rows == count
        assert set(masks_of(rows, detectors).tolist()) <= {mask}
        for bit, name in enumerate(detectors):
            assert set(rows.column(f"{name}_anomaly").to_pylist()) <= {bool(mask >> bit & 1)}
        seen += rows.num_rows
    assert seen == totals(digests, selection).total.n_flagged > 0
    assert pc.sum(agreement_over_time(digests, selection).column("n_flagged")).as_py() == seen
    assert pc.sum(sets_over_time(digests, selection).column("n_rows")).as_py() == seen


def test_deciles_of_a_home_add_up_to_all_rows(untouched: Home) -> None:
    digests = Digests(untouched)
    selection = Selection(tuple(digests.days()))
    table, counts = by_decile(digests, selection), totals(digests, selection)
    for name, expected in {UNIFIED: counts.total, **counts.by_detector}.items():
        part = table.filter(pc.equal(table.column("detector"), name))
        assert pc.sum(part.column("n_flagged")).as_py() == expected.n_flagged
        assert pc.sum(part.column("n_rows")).as_py() == expected.n_rows
