"""What a check's page shows of each day: the result that belongs to the day's current materialization."""

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionResolvedStatus as Status

from anomaly_assets.adapters.failpoints import armed
from anomaly_assets.jobs import DETECT, INGEST
from graph.deployment import CHECKS, Deployment
from graph.invented import BUSY, DAY, deliver, extra, ordinary_day


def shown(deployment: Deployment, asset: str, day: date) -> dict[str, Status | None]:
    """Status of every check of an asset for a day; None where Dagster shows the day as not checked."""
    days = deployment.definitions.resolve_asset_graph().get(dg.AssetKey(asset)).partitions_def
    found: dict[str, Status | None] = {}
    for name in CHECKS[asset]:
        key = dg.AssetCheckKey(dg.AssetKey(asset), name)
        state = deployment.instance.event_log_storage.get_asset_check_state([(key, days)])[key]
        statuses = [status for status, subset in state.subsets.items() if day.isoformat() in subset.subset_value]
        assert len(statuses) <= 1
        found[name] = statuses[0] if statuses else None
    return found


def all_passed(asset: str) -> dict[str, Status]:
    return dict.fromkeys(CHECKS[asset], Status.SUCCEEDED)


@pytest.mark.parametrize("times", [1, 2])
def test_a_day_that_passed_is_shown_as_passed_however_often_it_was_run(own: Deployment, times: int) -> None:
    for _ in range(times):
        assert own.run(INGEST, DAY).success
        assert own.run(DETECT, DAY).success
    for asset in CHECKS:
        assert shown(own, asset, DAY) == all_passed(asset)


def test_a_day_that_was_ingested_again_for_late_rows_is_shown_as_passed(own: Deployment, deliveries: Path) -> None:
    late = DAY - timedelta(days=1)
    deliver(deliveries, late, [*ordinary_day(late), extra(late, BUSY[0], 41.0)])
    again = {"ops": {"raw_transactions": {"config": {"late_days": 2}}}}
    assert own.run(INGEST, DAY, config=again).success
    assert shown(own, "raw_transactions", late) == all_passed("raw_transactions")


def test_a_day_whose_new_result_was_refused_is_shown_as_failed(own: Deployment) -> None:
    def lose_a_row() -> None:
        (staged,) = own.home.lake.local_folder("raw_transactions", DAY).glob(".transactions.*.tmp")
        pq.write_table(pq.read_table(staged, partitioning=None).slice(1), staged)

    with armed("raw_transactions.staged", lose_a_row):
        assert not own.run(INGEST, DAY).success
    assert shown(own, "raw_transactions", DAY)["ledger_balances"] is Status.FAILED
