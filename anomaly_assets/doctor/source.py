"""The source: whether it can be read, and whether the day that is due is in it."""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from anomaly_assets.adapters.sources.base import HasNewestDay, NewestDay, TransactionSource
from anomaly_assets.doctor.deployment import Deployment
from anomaly_assets.doctor.findings import Finding, failed, ok, warning
from anomaly_assets.domain.days import ONE_DAY
from anomaly_assets.domain.lineage import RAW


def files_there(deployment: Deployment) -> Iterator[Finding]:
    """Whether the path of a source of files is there; nothing in it is opened."""
    source = deployment.settings.source
    path = source.files.path
    if source.kind != "files" or path is None or "://" in path:
        yield ok(f"source {source.kind}: looked at without --quick")
    elif os.access(path, os.R_OK):
        yield ok(f"{path} is there")
    else:
        yield failed(
            f"{path} {'may not be read' if Path(path).exists() else 'is not there'}",
            expected="a data file or a folder of them, as source.files.path says",
            remedy="wait for the file or mount to come back, or correct source.files.path",
        )


def newest_day(deployment: Deployment) -> Iterator[Finding]:
    """Whether the source answers, and reaches to the day that is due."""
    from anomaly_assets.resources.source import source_resource  # noqa: PLC0415  it loads Dagster

    settings = deployment.settings
    found = _newest(source_resource(settings).open())
    if settings.source.is_invented:
        yield ok("synthetic: it invents any day")
        return
    unread = f"; {found.unread} large files that changed since the last ingest were not read" if found.unread else ""
    told = f"{settings.source.kind}: its newest day is {found.day or 'none'}{unread}"
    due, raw = deployment.due.day, deployment.home.lake.newest_day(RAW)
    if found.unread:
        yield ok(told)
    elif due and _is_before(found.day, due) and _is_before(raw, due):
        yield failed(
            told,
            expected=f"rows of {due}: {deployment.due.because}",
            remedy="find out why the source was not delivered; the next night makes the day up when it is",
        )
    elif raw and _is_before(found.day, raw):
        yield warning(
            told,
            expected=f"rows of {raw}, which was ingested from it",
            remedy="find out who removed rows; ingested days stay as they are until they are ingested again",
        )
    else:
        yield ok(told)


def _newest(source: TransactionSource) -> NewestDay:
    if isinstance(source, HasNewestDay):
        return source.newest_day()
    end = source.coverage().end
    return NewestDay(end and end - ONE_DAY)


def _is_before(day: date | None, other: date) -> bool:
    return day is None or day < other
