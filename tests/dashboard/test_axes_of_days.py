"""Axes can be read of one day, too: dates and not moments around midnight, counts and not fractions of a row."""

from datetime import date, timedelta

import plotly.graph_objects as go
import pyarrow as pa
import pytest
from views.hand_made import HandMade, Tx

from anomaly_assets.dashboard.figures import comparison, distributions, operations, overview, timeline
from anomaly_assets.dashboard.figures.distributions import Look
from anomaly_assets.dashboard.figures.style import A_DAY, FEW_DAYS
from anomaly_assets.dashboard.figures.wallet import history, numbers_over_time
from anomaly_assets.domain.day_digest import AMOUNT
from anomaly_assets.views import agreement, distribution
from anomaly_assets.views.overview import rates
from anomaly_assets.views.quarantine import REASONS
from anomaly_assets.views.selection import Selection
from anomaly_assets.views.timeline import flags_over_time
from anomaly_assets.views.wallet import ModelOfDay, NormalOfDay

DAY = date(2024, 3, 4)
DETECTORS = ["a", "b"]
DIGESTS = HandMade({DAY + timedelta(days=at): [Tx("a", hour=3), Tx("ab"), Tx()] for at in range(FEW_DAYS + 1)})


def figures(days: list[date]) -> dict[str, go.Figure]:
    """Every figure over days."""
    chosen = Selection(tuple(days))
    per_day, sets = rates(DIGESTS, chosen), agreement.sets_over_time(DIGESTS, chosen)
    masks = sorted(set(sets.column("flagged").to_pylist()))
    states = {"day": days, "asset": ["raw"] * len(days), "state": ["sealed"] * len(days), "because": [""] * len(days)}
    refused = pa.Table.from_pylist([{"day": day, "reason": "missing_tx_id", "n_rows": 2} for day in days], REASONS)
    proofs = {"date": days, "rate": [1.0] * len(days), "n_proofs": [2] * len(days), "n_proven": [2] * len(days)}
    proofs |= {name: [0] * len(days) for name in ("n_erased", "n_missing", "n_mismatch")}
    models = [ModelOfDay(day, "a", "id", 7, 9, {"mean": 1.0}) for day in days]
    return {
        "rate": overview.rate_over_time(per_day),
        "rows": overview.rows_over_time(per_day),
        "sets": comparison.sets_over_time(sets, DETECTORS, masks),
        "agreement": comparison.agreement_over_time(agreement.agreement_over_time(DIGESTS, chosen)),
        "timeline": timeline.flags_by_day(flags_over_time(DIGESTS, chosen), DETECTORS, chosen=None),
        "calendar": operations.calendar(pa.table(states)),
        "refused": operations.refused_rows(refused, days[0], days[-1]),
        "pass rate": operations.pass_rate_over_time(pa.table(proofs)),
        "proofs": operations.proofs_over_time(pa.table(proofs)),
        "numbers": numbers_over_time(models, "a", DETECTORS),
    }


ONE, MANY = figures([DAY]), figures(DIGESTS.days())
COUNTS = ("rows", "sets", "timeline", "refused", "proofs")


@pytest.mark.parametrize("name", ONE)
def test_one_day_is_one_date_on_the_axis(name: str) -> None:
    axis = ONE[name].layout.xaxis
    assert (axis.type, axis.dtick, axis.tick0) == ("date", A_DAY, str(DAY))
    assert list(axis.range) == ["2024-03-03 12:00", "2024-03-04 12:00"]


@pytest.mark.parametrize("name", ONE)
def test_marks_of_one_day_can_be_seen(name: str) -> None:
    """A bar has the width of its day, a line of one point has a dot."""
    for trace in ONE[name].data:
        if trace.type == "bar":
            assert A_DAY / 2 < trace.width <= A_DAY
        elif trace.type == "scatter":
            assert "markers" in trace.mode
        else:
            assert len(trace.x) == len(trace.z[0]) + 1, "a field between two edges"


@pytest.mark.parametrize("name", MANY)
def test_of_many_days_plotly_chooses_the_dates_to_write(name: str) -> None:
    assert MANY[name].layout.xaxis.dtick is None
    assert list(MANY[name].layout.xaxis.range) == ["2024-03-03 12:00", "2024-03-14 12:00"]


@pytest.mark.parametrize("name", COUNTS)
def test_few_rows_are_counted_in_whole_numbers(name: str) -> None:
    assert (ONE[name].layout.yaxis.dtick, ONE[name].layout.yaxis.tickformat) == (1, ",d")


def test_a_histogram_of_few_rows_counts_whole_ones() -> None:
    table = distribution.distribution(DIGESTS, Selection((DAY,)), AMOUNT)
    drawn = distributions.histogram(table, Look(AMOUNT, "amount", share=False))
    assert (drawn.layout.yaxis.dtick, drawn.layout.yaxis.tickformat) == (1, ",d")
    assert distributions.histogram(table, Look(AMOUNT, "amount")).layout.yaxis.dtick is None


def test_a_wallet_s_only_transaction_stands_in_its_day() -> None:
    rows = DIGESTS.published(DAY).slice(0, 1)
    rows = rows.append_column("day", pa.array([DAY], pa.date32()))
    drawn = history(rows, rows, [], 12)
    assert list(drawn.layout.xaxis.range) == ["2024-03-04", "2024-03-05"]
    later = NormalOfDay(DAY + timedelta(days=2), None, {})
    assert list(history(rows, rows, [later], 12).layout.xaxis.range) == ["2024-03-04", "2024-03-07"]
