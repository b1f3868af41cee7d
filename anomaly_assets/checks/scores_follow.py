"""scores_follow_from_current_days: the scores still follow from the raw days, window and models that are current."""

from datetime import date

import dagster as dg

from anomaly_assets.checks.partitioned import evaluated_apart, result_of
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.domain.families import DETECTION
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.domain.verdicts import Severity, Verdict
from anomaly_assets.evidence.lineage import Lineage
from anomaly_assets.evidence.stale import stale_of_day
from anomaly_assets.resources.detection import DetectionResource
from anomaly_assets.resources.home import HomeResource

NAME = "scores_follow_from_current_days"


def scores_follow_from_current_days_check(
    asset: dg.AssetKey, days: dg.DailyPartitionsDefinition
) -> dg.AssetChecksDefinition:
    """The check of ``asset`` over the graph's partitions."""

    @evaluated_apart(asset, NAME, days)
    def evaluate(
        context: dg.AssetCheckExecutionContext, home: HomeResource, detection: DetectionResource
    ) -> dg.AssetCheckResult:
        lineage = Lineage(home.open().lake, detection.resolve().settings_ids)
        return result_of(follow(lineage, date.fromisoformat(context.partition_key)))

    return evaluate


def follow(lineage: Lineage, day: date) -> Verdict:
    """The verdict on the current scores of a day; ``lineage`` holds the configured settings."""
    try:
        scored = lineage.lake.require(SCORED, day)
        followed = lineage.raw_days(scored)
    except AnomalyAssetsError as error:
        return Verdict(NAME, False, f"the scores of {day} are not readable: {error}", Severity.WARN)
    stale = next((item for item in stale_of_day(lineage, day, (DETECTION,)) if item.asset == SCORED), None)
    if stale is None:
        return Verdict(NAME, True, f"follows from {len(followed)} current raw days", Severity.WARN)
    numbers = {"raw days changed": len(stale.raw_days)}
    message = f"{stale.because}; run detect_anomalies for {day} again"
    return Verdict(NAME, False, message, Severity.WARN, numbers=numbers)
