"""The Dagster instance: its records, the daemon that runs nights, how the last one ended, runs that hang or wait."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from dagster import DagsterRunStatus

from anomaly_assets.adapters.dagster_home import differences
from anomaly_assets.dagster_databases import torn_databases
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.dagster_server import require_answer, server_of
from anomaly_assets.doctor.deployment import Deployment
from anomaly_assets.doctor.findings import Examination, Finding, failed, ok, warning
from anomaly_assets.doctor.machine import CLOCKS_DIFFER
from anomaly_assets.doctor.records import RecordedRun, Records
from anomaly_assets.domain.days import day_named
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.jobs import NIGHTLY
from anomaly_assets.settings import Settings

SILENT_DAEMON = timedelta(minutes=5)
"""Ten heartbeats of a daemon."""
SILENT_RUN = timedelta(minutes=5)
"""The sensor ``dead_runs`` takes two minutes at most."""
_RUNNING = {DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING}
"""Not those that are starting: a pod may wait for its place for long."""
LONG_WAIT = timedelta(hours=1)
SCHEDULER = "SCHEDULER"
"""Dagster's name of the daemon that starts nights."""
_START = (
    "start dagster-daemon run -m anomaly_assets.definitions with DAGSTER_HOME of the home, as docs/operating.md says"
)


def records(settings: Settings) -> Iterator[Finding]:
    """Where the records are, and whether a server that keeps them answers."""
    folder = settings.instance_folder
    url = server_of(folder)
    require_answer(folder)
    where = f"records in {url}" if url else "records in files"
    yield ok(f"instance {folder}, {where}" if folder.exists() else f"there is no instance yet in {folder}")


def databases(settings: Settings) -> Iterator[Finding]:
    """Databases that Dagster will not open."""
    torn = torn_databases(settings.instance_folder)
    for path, versions in torn.items():
        yield failed(
            f"{path} holds {len(versions)} versions of itself ({', '.join(versions)}): two processes made it at once, "
            "and Dagster does not open it",
            expected="one version",
            remedy="end webserver and daemon, then run anomaly-assets dagster-home, which keeps the newest version and "
            "every record",
        )
    if not torn:
        yield ok("no database holds two versions of itself")


def runs_at_once(settings: Settings) -> Iterator[Finding]:
    """Whether ``dagster.yaml`` allows as many runs at once as the settings say."""
    found = differences(settings.instance_folder, max_concurrent_runs=settings.max_concurrent_runs)
    for difference in found:
        yield warning(
            difference, remedy="change it there or in the settings; anomaly-assets dagster-home writes the value"
        )
    if not found:
        yield ok(f"{settings.max_concurrent_runs} runs at once, as the settings say")


def daemon(deployment: Deployment) -> Iterator[Finding]:
    """Whether the daemon runs that starts nights."""
    records = _records(deployment)
    if not records.are_known:
        yield warning(
            "the records are in a storage that is not looked at: neither in SQLite files nor in PostgreSQL",
            expected="records that tell of daemons and runs",
            remedy="Dagster's page Deployment > Daemons tells",
        )
        return
    beats = records.heartbeats()
    beat = beats.get(SCHEDULER)
    if beat is None:
        yield _no_daemon(deployment, "no daemon has run here")
        return
    at = datetime.fromtimestamp(beat.timestamp, UTC)
    if deployment.now - at > SILENT_DAEMON:
        yield _no_daemon(deployment, f"the daemon was last heard of at {at:%Y-%m-%d %H:%M} UTC")
        return
    if at - deployment.now > CLOCKS_DIFFER:
        yield warning(
            f"the daemon's last heartbeat is of {at:%Y-%m-%d %H:%M} UTC, which is not yet",
            expected="one clock for all machines",
            remedy="see that the clocks of the machines are set by a time server",
        )
    errors = [str(error.message).strip().partition("\n")[0] for each in beats.values() for error in each.errors or ()]
    if errors:
        yield warning(
            f"the daemon runs, and says: {errors[0]}",
            expected="a daemon without errors",
            remedy="the log of dagster-daemon and Dagster's page Deployment > Daemons say more",
        )
    else:
        yield ok(f"the daemon runs, last heard of at {at:%Y-%m-%d %H:%M} UTC")


def schedule(deployment: Deployment) -> Iterator[Finding]:
    """Whether the schedule is switched on."""
    if not deployment.nights_bring_days:
        yield ok("no schedule is to bring days")
    elif _records(deployment).is_switched_off(_nightly(deployment), deployment.settings.dagster_location):
        yield failed(
            f"the schedule {_nightly(deployment)} is switched off",
            expected=f"on: it brings days at {deployment.settings.nights}",
            remedy="switch it on on Dagster's page Automation; days that are brought otherwise say nightly.cron: none",
        )
    else:
        yield ok(f"the schedule {_nightly(deployment)} ({deployment.settings.nights} UTC) is not switched off")


def last_night(deployment: Deployment) -> Iterator[Finding]:
    """How the last nightly run ended."""
    run = _records(deployment).last_of(_nightly(deployment))
    if run is None:
        yield ok(f"no run of {_nightly(deployment)} is recorded")
        return
    told = f"the last run of {run.job}, of {run.day}, "
    if run.status is DagsterRunStatus.SUCCESS:
        yield ok(f"{told}succeeded{_when(run)}")
    elif run.status in {DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}:
        how = "failed" if run.status is DagsterRunStatus.FAILURE else "was canceled"
        day = day_named(run.day or "")
        if day and deployment.home.lake.find(SCORED, day) is not None:
            yield ok(f"{told}{how}{_when(run)}; the day was scored by another one")
            return
        level = failed if deployment.due.day else warning
        yield level(
            f"{told}{how}{_when(run)}",
            expected="a night that ends with scores",
            remedy=f"Dagster's page of run {run.run_id} says why; then "
            f"anomaly-assets backfill --from {run.day} --to {run.day}",
        )
    else:
        yield ok(f"{told}goes on ({run.status.value.lower()})")


def hanging_runs(deployment: Deployment) -> Iterator[Finding]:
    """Runs that go on in Dagster's eyes, of which nothing is heard."""
    going = [run for run in _records(deployment).going_on() if run.status in _RUNNING]
    silent = [run for run in going if _is_silent(deployment, run)]
    if not silent:
        yield ok(f"{len(going)} runs go on, and all are heard of")
        return
    places = deployment.settings.max_concurrent_runs
    level = failed if len(silent) >= places else warning
    yield level(
        f"runs that hang, each in a place of the queue: {len(silent)}, {_named(silent)}",
        expected=f"runs that give a sign every ten seconds; {places} may go on at once",
        remedy=f"the sensor dead_runs ends them once the daemon runs: {_START}",
    )


def queue(deployment: Deployment) -> Iterator[Finding]:
    """Runs that wait for a place."""
    waiting = [run for run in _records(deployment).going_on() if run.status is DagsterRunStatus.QUEUED]
    long = [run for run in waiting if deployment.now - run.created > LONG_WAIT]
    if long:
        yield warning(
            f"{len(long)} runs wait since more than an hour, the oldest since {long[0].created:%Y-%m-%d %H:%M} UTC: "
            f"{_named(long)}",
            expected="places for every run",
            remedy="see which runs go on, and that the daemon runs; max_concurrent_runs says how many places there are",
        )
    else:
        yield ok(f"{len(waiting)} runs wait, none of them long")


ANYWHERE: Sequence[Examination] = (records, databases, runs_at_once)
"""What can be asked before there is a home."""
OF_A_HOME: Sequence[Examination] = (daemon, schedule, last_night, hanging_runs, queue)
"""What needs records that can be read."""


def _records(deployment: Deployment) -> Records:
    return Records(deployment.settings.instance_folder, str(deployment.record["home_id"]))


def _nightly(deployment: Deployment) -> str:
    """What the schedule and its job are called in Dagster."""
    return DagsterNames(deployment.settings.dagster.key_prefix).of(NIGHTLY)


def _no_daemon(deployment: Deployment, found: str) -> Finding:
    if deployment.nights_bring_days:
        return failed(
            f"nobody runs nights: {found}",
            expected=f"a heartbeat every 30 s: nights are to bring days at {deployment.settings.nights} UTC",
            remedy=f"{_START}; days that are brought otherwise say so with nightly.cron: none",
        )
    return ok(f"{found}, and no nights are to run")


def _is_silent(deployment: Deployment, run: RecordedRun) -> bool:
    beat = deployment.home.heartbeats.last(run.run_id)
    heard = (run.started or run.created) if beat is None else datetime.fromtimestamp(beat / 1e9, UTC)
    return deployment.now - heard > SILENT_RUN


def _when(run: RecordedRun) -> str:
    return f" at {run.ended:%Y-%m-%d %H:%M} UTC" if run.ended else ""


def _named(runs: Sequence[RecordedRun]) -> str:
    shown = ", ".join(f"{run.job} of {run.day} (run {run.run_id})" for run in runs[:3])
    return shown if len(runs) <= 3 else f"{shown} and {len(runs) - 3} more"
