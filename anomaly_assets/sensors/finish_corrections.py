"""finish_corrections: asks for the scored days that an ended backfill of a corrected raw day left behind."""

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import date, timedelta
from typing import NamedTuple

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill

from anomaly_assets.adapters.home import Home
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.days import day_named
from anomaly_assets.domain.families import DETECTION
from anomaly_assets.domain.lineage import RAW, SCORED
from anomaly_assets.evidence.lineage import Lineage, scored_days_over
from anomaly_assets.evidence.stale import Stale, stale_of_day
from anomaly_assets.jobs import AssetJob
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.detection import DetectionResource
from anomaly_assets.resources.home import HomeResource, home_tag
from anomaly_assets.run_tags import REASON_TAG
from anomaly_assets.sensors.of_home import is_of_home

INTERVAL_SECONDS = 30
LOOKS_BACK = timedelta(days=40)
"""An ended backfill is looked at when it began within so many days: a daemon may have been off for long."""
REASON = "left by a backfill"
_ENDED = [BulkActionStatus.COMPLETED_SUCCESS, BulkActionStatus.COMPLETED_FAILED, BulkActionStatus.FAILED]
"""Whoever cancels a backfill wants what it left to stay as it is."""


class Walked(NamedTuple):
    """What the runs of a backfill did: raw days that were ingested, and days of which a run did not succeed."""

    ingested: set[date]
    failed: set[date]


def finish_corrections_sensor(detect: AssetJob, names: DagsterNames) -> dg.SensorDefinition:
    """Always switched on: whether Dagster's walk over the graph is complete depends on the hash seed of its process.

    ``BaseAssetGraph.bfs_filter_subsets`` visits the children of an asset in the order of a set, each once: when it
    comes to the scores by their raw day before it comes to them by the window, days that only the window leads to are
    left out of the backfill, which then succeeds.
    """

    @dg.sensor(
        name=names.of("finish_corrections"),
        job=detect,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="When a backfill of raw_transactions with its downstream has ended, asks for each scored day again "
        "that it left stale. Days whose run failed are not asked for: their page says why.",
    )
    def finish_corrections(
        context: dg.SensorEvaluationContext, home: HomeResource, detection: DetectionResource, clock: ClockResource
    ) -> dg.SensorResult:
        looked_at = set(json.loads(context.cursor or "[]"))
        recent = BulkActionsFilter(statuses=_ENDED, created_after=clock.now() - LOOKS_BACK)
        ended = {backfill.backfill_id: backfill for backfill in context.instance.get_backfills(filters=recent)}
        opened = home.open()
        lineage = Lineage(opened.lake, detection.resolve().settings_ids)
        by_day = {  # once, for the newest backfill that left it
            request.partition_key: request
            for backfill in sorted(ended.values(), key=lambda each: each.backfill_timestamp)
            if backfill.backfill_id not in looked_at and is_correction(backfill, names)
            for request in _left_behind(context, opened, lineage, backfill, names)
        }
        asked = list(by_day.values())
        return dg.SensorResult(
            run_requests=asked,
            skip_reason=None if asked else f"{len(ended.keys() - looked_at)} backfills ended and left nothing stale",
            cursor=json.dumps(sorted(ended)),
        )

    return finish_corrections


def is_correction(backfill: PartitionBackfill, names: DagsterNames) -> bool:
    """Whether it was asked to make raw days again and the scores over them."""
    return {names.key(RAW), names.key(SCORED)} <= set(backfill.asset_selection or ())


def stale_after(lineage: Lineage, corrected: AbstractSet[date]) -> list[date]:
    """Scored days over raw days that were corrected which do not follow from them yet, ascending."""
    over = {day for raw in corrected for day, _ in scored_days_over(lineage.lake, raw)}
    stale = {day: stale_of_day(lineage, day, (DETECTION,)) for day in sorted(over)}
    return [day for day, of_day in stale.items() if any(_follows_from(each, corrected) for each in of_day)]


def _follows_from(stale: Stale, corrected: AbstractSet[date]) -> bool:
    """Other settings are no reason: who changes them decides himself when days are made again."""
    return bool(stale.inputs) or not corrected.isdisjoint(stale.raw_days)


def walked(runs: Sequence[dg.DagsterRun], names: DagsterNames) -> Walked:
    """What runs, newest first, did; of several for the same asset and day the newest counts."""
    succeeded: dict[tuple[date, str | None], bool] = {}
    for run in runs:
        day = day_named(run.tags.get("dagster/partition", ""))
        if day is not None:
            for key in run.asset_selection or ():
                succeeded.setdefault((day, names.asset(key)), run.is_success)
    return Walked(
        ingested={day for (day, asset), is_made in succeeded.items() if asset == RAW and is_made},
        failed={day for (day, asset), is_made in succeeded.items() if asset in DETECTION.names and not is_made},
    )


def _left_behind(
    context: dg.SensorEvaluationContext, home: Home, lineage: Lineage, backfill: PartitionBackfill, names: DagsterNames
) -> list[dg.RunRequest]:
    runs = context.instance.get_runs(filters=dg.RunsFilter(tags={"dagster/backfill": backfill.backfill_id}))
    done = walked([run for run in runs if is_of_home(context, home, run)], names)
    left = [day for day in stale_after(lineage, done.ingested) if day not in done.failed]
    if left:
        shown = ", ".join(map(str, left))
        context.log.info(f"backfill {backfill.backfill_id} left scored days stale, which are asked for again: {shown}")
    return [
        dg.RunRequest(
            run_key=f"{backfill.backfill_id}:{day}",  # once, also when the cursor was lost
            partition_key=day.isoformat(),
            tags={REASON_TAG: REASON, **home_tag(home)},
        )
        for day in left
    ]
