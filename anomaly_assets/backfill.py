"""Backfills from the command line: missing days are ingested, then each day detected, as Dagster runs in this process.

Every run appears in Dagster's UI over the same home. A day that is up to date is not run again, so a backfill that was
interrupted goes on where it stopped.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.dagster_runs import DagsterRuns, RunResult, unheard
from anomaly_assets.domain.days import ONE_DAY, DayRange, require_finished, trailing_window
from anomaly_assets.domain.errors import CorruptFile, NeedsRelease, NotSealed, SettingsError
from anomaly_assets.domain.families import DETECTION
from anomaly_assets.domain.identity import file_digest
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.training import warm_up
from anomaly_assets.evidence.lineage import Lineage
from anomaly_assets.evidence.stale import stale_of_day
from anomaly_assets.jobs import DETECT, INGEST
from anomaly_assets.settings import Settings
from anomaly_assets.steps.publish_models import make_up
from anomaly_assets.steps.publish_scores import is_published
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.window import manifest_of

KERNELS = "prepare kernels"
"""Shown as work of its own: the first time on a machine they are compiled, which takes seconds."""
BACKFILL_TAG = "anomaly_assets/backfill"


@dataclass(frozen=True)
class Progress:
    """Receives what a backfill is about to do and what became of it."""

    start: Callable[[str, int], None]
    advance: Callable[[str, date, bool], None]


@dataclass(frozen=True)
class Report:
    """What a backfill did.

    Parameters
    ----------
    ingested, detected : days that were run successfully
    up_to_date : days whose scores were current already
    failed : (job, day) to the error's text
    store_waits : what the model store is still to be told, as sentences
    """

    ingested: list[date] = field(default_factory=list)
    detected: list[date] = field(default_factory=list)
    up_to_date: list[date] = field(default_factory=list)
    failed: dict[tuple[str, date], str] = field(default_factory=dict)
    store_waits: list[str] = field(default_factory=list)


def backfill(
    settings: Settings, days: DayRange, progress: Progress, *, today: date, say: Callable[[str], None] = unheard
) -> Report:
    """Ingest what is missing for ``days`` and their windows, then train and score every day that is not up to date.

    ``say`` is told what was changed or mended in the Dagster instance, and when other detectors judge than the home was
    made with.

    Raises ``SettingsError`` when the days lie before the home's first day, ``NotFinished`` when the last is not over.
    """
    _require_inside(settings, days, today)
    home, report = Home(settings.home), Report()
    if changed := settings.changed_judges:
        say(changed)
    with DagsterRuns(settings, {BACKFILL_TAG: secrets.token_hex(4)}, say) as runs:
        missing = missing_raw_days(home, settings, days)
        report.ingested.extend(_record(INGEST, missing, runs.all(INGEST, missing), progress, report))
        stale = [day for day in days if not is_up_to_date(home, settings, day)]
        report.up_to_date.extend(sorted(set(days) - set(stale)))
        if stale:
            progress.start(KERNELS, 1)
            warm_up(settings.detection.detectors())
            progress.advance(KERNELS, days.first, True)
        report.detected.extend(_record(DETECT, stale, runs.each(DETECT, stale), progress, report))
    if not report.detected and home.store_pending.sentences():
        _serve(home, settings, say)
    report.store_waits.extend(home.store_pending.sentences())
    return report


def rerun(
    settings: Settings, job: str, days: Sequence[date], progress: Progress, *, say: Callable[[str], None] = unheard
) -> Report:
    """Run a job for these days, whatever is up to date; parameters as those of :func:`backfill`."""
    report = Report()
    with DagsterRuns(settings, {BACKFILL_TAG: secrets.token_hex(4)}, say) as runs:
        report.detected.extend(_record(job, days, runs.each(job, days), progress, report))
    return report


def missing_raw_days(home: Home, settings: Settings, days: DayRange) -> list[date]:
    """Days among ``days`` and all their windows without a good seal, or ingested under other border rules."""
    first = trailing_window(days.first, settings.window.days, settings.first_day).first
    lineage = Lineage(home.lake, rules=settings.border_rules.recorded())
    return [day for day in DayRange(first, days.end) if not _is_ingested(lineage, day)]


def is_up_to_date(home: Home, settings: Settings, day: date) -> bool:
    """Whether the day's scores follow from what is current now, under these settings, and all its files are whole."""
    lake, lineage = home.lake, Lineage(home.lake, settings.detection.settings_ids)
    current = [lineage.current(asset, day).seal for asset in (RAW, WINDOW, MODELS, SCORED, METRICS)]
    seals = [seal for seal in current if seal is not None]
    if len(seals) < len(current) or stale_of_day(lineage, day, (DETECTION,)):
        return False
    _, window, models, scored, _ = seals
    days = trailing_window(day, settings.detection.window_days, settings.first_day)
    if list(manifest_of(window).revisions) != list(days) or models.inputs["fit_id"] != settings.detection.fit_id:
        return False
    try:
        for seal in seals[1:]:
            for role in seal.files:
                lake.read_bytes(seal, role)
        published = home.published_path(day).read_bytes()
    except (CorruptFile, NotSealed, FileNotFoundError):
        return False
    is_published = file_digest(published) == lake.stored(scored, "scored").sha256
    return is_published and _elsewhere(home, settings, day, scored.revision)


def _is_ingested(lineage: Lineage, day: date) -> bool:
    current = lineage.current(RAW, day)
    if isinstance(current.error, NeedsRelease):
        raise current.error  # no run would replace it
    seal = current.seal
    return seal is not None and all(each.follows for each in lineage.compared(seal))


def _serve(home: Home, settings: Settings, say: Callable[[str], None]) -> None:
    """Make up what the store was not told, as no run did."""
    run = Run(home, f"backfill {secrets.token_hex(4)}", lambda: datetime.now(UTC), say, settings.lock_timeout_seconds)
    make_up(run, StoreProvider.from_settings(settings.redis))


def _elsewhere(home: Home, settings: Settings, day: date, revision: str) -> bool:
    """Whether the table that scores go to, if there is one, was given these."""
    table = settings.published_scores.table
    return table is None or is_published(home, table, day, revision)


def _require_inside(settings: Settings, days: DayRange, today: date) -> None:
    if len(days) == 0:
        raise SettingsError(
            f"--from {days.first} --to {days.end - ONE_DAY} holds no day", expected="--from at most --to"
        )
    require_finished(days.end - ONE_DAY, today)
    if days.first < settings.first_day:
        raise SettingsError(
            f"{days.first} lies before first_day {settings.first_day}",
            remedy="choose a later --from, or set first_day in anomaly.yaml and use a fresh --home",
        )


def _record(
    job: str, days: Sequence[date], results: Iterable[RunResult], progress: Progress, report: Report
) -> list[date]:
    """Follow the runs of ``days``; returns the days that succeeded, ascending."""
    if not days:
        return []
    progress.start(job, len(days))
    succeeded = []
    for day, error in results:
        progress.advance(job, day, not error)
        if error:
            report.failed[job, day] = error
        else:
            succeeded.append(day)
    return sorted(succeeded)
