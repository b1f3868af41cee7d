"""Rates against a known truth, at points computed by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anomaly_assets.domain.evaluation import Detection, Tally, pooled, tallies_by_group

ROWS = st.integers(0, 40)


def bools(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.bool_)


def test_a_tally_counts_rows_judged_and_flagged_ones() -> None:
    tally = Tally.of(judged=bools(1, 1, 1, 1, 0), flagged=bools(1, 0, 0, 0, 0))
    assert tally == Tally(rows=5, judged=4, flagged=1)
    assert tally.rate == 0.25


def test_a_flag_on_a_row_that_was_not_judged_does_not_count() -> None:
    assert Tally.of(judged=bools(0, 1), flagged=bools(1, 1)) == Tally(rows=2, judged=1, flagged=1)


def test_where_nothing_was_judged_there_is_no_rate() -> None:
    assert Tally.of(judged=bools(0, 0), flagged=bools(0, 0)).rate is None


def test_recall_precision_and_flagged_share_at_a_hand_computed_point() -> None:
    #                   anomalous: 4 judged of 5, 1 found; clean: 6 judged of 7, 3 false alarms
    is_anomalous = bools(1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)
    judged = bools(1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0)
    flagged = bools(1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0)
    found = Detection.of(is_anomalous, judged, flagged)
    assert (found.anomalous, found.clean) == (Tally(5, 4, 1), Tally(7, 6, 3))
    assert (found.recall, found.precision, found.both.rate) == (0.25, 0.25, 0.4)


def test_without_flags_there_is_no_precision_and_without_anomalies_no_recall() -> None:
    found = Detection.of(bools(0, 0), bools(1, 1), bools(0, 0))
    assert (found.precision, found.recall, found.both.rate) == (None, None, 0.0)


@given(st.data(), ROWS)
def test_the_tallies_of_all_groups_together_are_the_tally_of_all_rows(data: st.DataObject, n_rows: int) -> None:
    group = data.draw(arrays(np.int8, n_rows, elements=st.integers(0, 3)))
    judged, flagged = (data.draw(arrays(np.bool_, n_rows)) for _ in range(2))
    assert pooled(tallies_by_group(group, 4, judged, flagged)) == Tally.of(judged, flagged)
