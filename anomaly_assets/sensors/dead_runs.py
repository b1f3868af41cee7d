"""dead_runs: runs whose process is gone become failures, and the night's day is taken up again."""

import json
from collections.abc import Mapping
from datetime import datetime

import dagster as dg
from dagster._core.storage.tags import WILL_RETRY_TAG

from anomaly_assets.adapters.home import Home
from anomaly_assets.assets.training_window import RETRIES_TAG, WAIT_TAG
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.liveness import Heard, listen
from anomaly_assets.jobs import NIGHTLY, AssetJob
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource, home_tag
from anomaly_assets.sensors.of_home import is_of_home

INTERVAL_SECONDS = 30
AGAIN_TAG, MOST_AGAIN = "anomaly_assets/again_after_a_dead_run", 3
"""How often a night is taken up again: a run that kills its machine must not do so for ever."""
REASON = "nothing was heard of its process for a minute: it was killed, or its machine is gone; run it again"
_RUNNING = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_STARTING = dg.DagsterRunStatus.STARTING


def dead_runs_sensor(nightly: AssetJob, names: DagsterNames) -> dg.SensorDefinition:
    """Always switched on: Dagster's default launcher looks after no run, and a dead one holds a place in its queue."""

    @dg.sensor(
        name=names.of("dead_runs"),
        job=nightly,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports runs as failed whose process is gone, within two minutes after the daemon runs, and asks "
        "for the night again that one of them was doing.",
    )
    def dead_runs(context: dg.SensorEvaluationContext, home: HomeResource, clock: ClockResource) -> dg.SensorResult:
        opened, now = home.open(), clock.now()
        beats, tag = opened.heartbeats, home_tag(opened)
        running = {run.run_id: run for run in running_of_home(context, opened)}
        heard, dead = listen({run_id: beats.last(run_id) for run_id in running}, _read(context.cursor), now)
        for run_id in dead:
            beats.take_for_dead(run_id)  # first: should it be alive after all, it commits nothing from here on
        ended = [_reported(context, running[run_id]) for run_id in dead]
        again = [request for run in ended if (request := night_again(run, tag, job=names.of(NIGHTLY)))]
        return dg.SensorResult(
            run_requests=again,
            skip_reason=None if again else f"{len(dead)} of {len(running)} running runs were dead",
            cursor=json.dumps({run_id: [beat, *map(str, moments)] for run_id, (beat, *moments) in heard.items()}),
        )

    return dead_runs


def running_of_home(context: dg.SensorEvaluationContext, home: Home) -> list[dg.DagsterRun]:
    """Runs of the home that go on.

    Those that are starting, too, unless their launcher tells Dagster itself what became of them: a pod may wait for
    its place for long.
    """
    launcher = context.instance.run_launcher
    statuses = _RUNNING if launcher.supports_check_run_worker_health else [*_RUNNING, _STARTING]
    return [
        run
        for run in context.instance.get_runs(filters=dg.RunsFilter(statuses=statuses))
        if home.heartbeats.last(run.run_id) is not None or is_of_home(context, home, run)
    ]


def night_again(run: dg.DagsterRun, home: Mapping[str, str], *, job: str) -> dg.RunRequest | None:
    """Asks for the day of a dead nightly run again; ``home`` is the tag of the home, ``job`` that of nights.

    None for other jobs, when it died often enough, and when Dagster itself is about to (``run_retries``).
    """
    tries = int(run.tags.get(AGAIN_TAG, 0)) + 1
    day = run.tags.get("dagster/partition")
    if run.job_name != job or day is None or tries > MOST_AGAIN or run.tags.get(WILL_RETRY_TAG) == "true":
        return None
    kept = {name: run.tags[name] for name in (RETRIES_TAG, WAIT_TAG) if name in run.tags}
    return dg.RunRequest(
        run_key=f"after {run.run_id}",
        partition_key=day,
        run_config=run.run_config,
        tags={**kept, **home, AGAIN_TAG: str(tries)},
    )


def _reported(context: dg.SensorEvaluationContext, run: dg.DagsterRun) -> dg.DagsterRun:
    """Report the run as ended; returns it as it is recorded then."""
    context.log.warning(f"run {run.run_id} ({run.job_name}, {run.tags.get('dagster/partition')}) is dead")
    if run.status is dg.DagsterRunStatus.CANCELING:
        context.instance.report_run_canceled(run, message=REASON)
    else:
        context.instance.report_run_failed(run, REASON)
    return context.instance.get_run_by_id(run.run_id) or run


def _read(cursor: str | None) -> Mapping[str, Heard]:
    found = json.loads(cursor or "{}")
    return {
        run_id: Heard(beat, datetime.fromisoformat(since), datetime.fromisoformat(until))
        for run_id, (beat, since, until) in found.items()
    }
