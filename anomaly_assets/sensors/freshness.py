"""freshness: looks by the clock whether the due day is there, tells the checks, alerts once for each missing day."""

import json
from collections.abc import Mapping

import dagster as dg

from anomaly_assets.adapters.alerts import DAY_OVERDUE, AlertTargets
from anomaly_assets.adapters.home import Home
from anomaly_assets.checks.due_day import Watched, judge
from anomaly_assets.checks.partitioned import result_of
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.due_days import DUE_DAY_IS_THERE, Freshness
from anomaly_assets.domain.identity import JsonObject, digest_of
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource, home_tag
from anomaly_assets.run_tags import HOME_TAG

INTERVAL_SECONDS = 300
_TOLD, _ALERTED = "told", "alerted"


def freshness_sensor(
    watched: Watched, targets: AlertTargets, names: DagsterNames, *, switched_on: bool
) -> dg.SensorDefinition:
    """Reports each check when its answer changes, so that ticks do not fill Dagster's database; starts no run.

    Switched on when a real source is configured.
    """

    @dg.sensor(
        name=names.of("freshness"),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if switched_on else dg.DefaultSensorStatus.STOPPED,
        description="Compares the newest days with the day that should be there by now, and reports due_day_is_there "
        "when its answer changes. A missing day is one alert (alerts.webhook, alerts.file). Without the daemon nobody "
        "looks: anomaly-assets doctor --quick does so from outside.",
    )
    def freshness(context: dg.SensorEvaluationContext, home: HomeResource, clock: ClockResource) -> dg.SensorResult:
        opened, now = home.open(), clock.now()
        before = json.loads(context.cursor or "{}")
        found = {asset: watched.of(opened, asset, now) for asset in watched.assets}
        told = {asset: judge(each).message for asset, each in found.items()}
        changed = [asset for asset in found if told[asset] != before.get(_TOLD, {}).get(asset)]
        alert, alerted = overdue_alert(opened, found), before.get(_ALERTED)
        if alert and alert["day"] != alerted and targets:
            opened.alerts.put(alert, targets, at=now)  # waiting_alerts sends it, and again until it is taken
            alerted = alert["day"]
        return dg.SensorResult(
            asset_events=[_evaluation(opened, names.key(asset), found[asset]) for asset in changed],
            skip_reason="; ".join(f"{asset}: {text}" for asset, text in told.items()),
            cursor=json.dumps({_TOLD: told, _ALERTED: alerted}),
        )

    return freshness


def overdue_alert(home: Home, found: Mapping[str, Freshness]) -> JsonObject | None:
    """What is reported of a day that is due and not there, of the asset that is furthest behind; None when none is."""
    overdue = {asset: each for asset, each in found.items() if each.is_overdue}
    if not overdue:
        return None
    asset, worst = max(overdue.items(), key=lambda item: item[1].days_behind or 0)
    day = str(worst.due.day)
    return {
        "event": DAY_OVERDUE,
        "severity": "critical",
        # the same however often it is sent, and another one for another home
        "key": f"{DAY_OVERDUE}-{day}-{home_tag(home).get(HOME_TAG) or digest_of(str(home.root))[:16]}",
        "day": day,
        "asset": asset,
        "newest": None if worst.newest is None else worst.newest.isoformat(),
        "days_behind": worst.days_behind,
        "message": "; ".join(f"{name}: {judge(each).message}" for name, each in overdue.items()),
        "remedy": f"start Dagster's daemon, which makes up missed nights, or: {worst.command}",
    }


def _evaluation(home: Home, asset: dg.AssetKey, found: Freshness) -> dg.AssetCheckEvaluation:
    result = result_of(judge(found))
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=DUE_DAY_IS_THERE,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata={**result.metadata, **home_tag(home)},
    )
