"""coverage_within_bounds and anomaly_rate_within_bounds: business bounds of a scored day; they warn."""

from collections.abc import Callable
from datetime import date
from functools import partial

import dagster as dg
import pyarrow as pa

from anomaly_assets.checks.partitioned import evaluated_apart, result_of
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.domain.predicates import anomaly_rate_within_bounds, coverage_within_bounds
from anomaly_assets.domain.verdicts import Verdict
from anomaly_assets.resources.bounds import BoundsResource
from anomaly_assets.resources.detection import DetectionResource
from anomaly_assets.resources.home import HomeResource

COVERAGE = "coverage_within_bounds"
RATE = "anomaly_rate_within_bounds"


def coverage_within_bounds_check(asset: dg.AssetKey, days: dg.DailyPartitionsDefinition) -> dg.AssetChecksDefinition:
    """The check of ``asset`` over the graph's partitions."""

    @evaluated_apart(asset, COVERAGE, days)
    def evaluate(
        context: dg.AssetCheckExecutionContext, home: HomeResource, detection: DetectionResource, bounds: BoundsResource
    ) -> dg.AssetCheckResult:
        judge = partial(coverage_within_bounds, min_coverage=bounds.resolve().min_coverage)
        return result_of(_on_current(COVERAGE, home, detection, date.fromisoformat(context.partition_key), judge))

    return evaluate


def anomaly_rate_within_bounds_check(
    asset: dg.AssetKey, days: dg.DailyPartitionsDefinition
) -> dg.AssetChecksDefinition:
    """The check of ``asset`` over the graph's partitions."""

    @evaluated_apart(asset, RATE, days)
    def evaluate(
        context: dg.AssetCheckExecutionContext, home: HomeResource, detection: DetectionResource, bounds: BoundsResource
    ) -> dg.AssetCheckResult:
        judge = partial(anomaly_rate_within_bounds, max_rate=bounds.resolve().max_anomaly_rate)
        return result_of(_on_current(RATE, home, detection, date.fromisoformat(context.partition_key), judge))

    return evaluate


def _on_current(
    name: str,
    home: HomeResource,
    detection: DetectionResource,
    day: date,
    judge: Callable[[pa.Table, list[str]], Verdict],
) -> Verdict:
    """The verdict on the current scores."""
    lake = home.open().lake
    try:
        scored = lake.read(lake.require(SCORED, day), "scored")
    except AnomalyAssetsError as error:
        return Verdict(name, False, f"the scores of {day} are not readable: {error}")
    return judge(scored, [detector.name for detector in detection.resolve().detectors()])
