"""Days: which are there, against the one that is due by the clock, and which were begun and not finished."""

from collections.abc import Iterator, Sequence
from datetime import date

from anomaly_assets.adapters.object_path import listed
from anomaly_assets.doctor.deployment import Deployment
from anomaly_assets.doctor.findings import Finding, failed, ok, warning
from anomaly_assets.domain.days import ONE_DAY, DayRange
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.evidence.stale import stale_partitions

ASSETS = (RAW, WINDOW, MODELS, SCORED, METRICS)


def due_day(deployment: Deployment) -> Iterator[Finding]:
    """Whether the day that is due is scored and published."""
    home, due = deployment.home, deployment.due
    newest = home.lake.newest_day(SCORED)
    scored = f"the newest scored day is {newest}" if newest else "no day is scored yet"
    behind = due.days_behind(newest, deployment.settings.first_day)
    if behind is None:
        yield ok(f"no day is due: {due.because}; {scored}")
    elif behind == 0 and due.day and not home.lake.is_sealed(SCORED, due.day):
        yield failed(
            f"{due.day} is due and not scored, though a later day is; {scored}",
            expected=f"scores of {due.day}: {due.because}",
            remedy=f"anomaly-assets backfill --from {due.day} --to {due.day}",
        )
    elif behind == 0:
        yield ok(f"{due.day} is due ({due.because}); {scored}")
    else:
        first = newest + ONE_DAY if newest else deployment.settings.first_day
        yield failed(
            f"{_days(behind)} due and not scored, {first} to {due.day}; {scored}",
            expected=f"scores of {due.day}: {due.because}",
            remedy="see that dagster-daemon runs and how the last nights ended; the days are made by "
            f"anomaly-assets backfill --from {first} --to {due.day}",
        )
    if newest and not home.published_path(newest).exists():
        yield _not_published([newest])
    if table := deployment.settings.published_scores.table:
        yield _delivered(deployment, table)


def _delivered(deployment: Deployment, table: str) -> Finding:
    """Whether the table elsewhere was given the day that is due."""
    from anomaly_assets.views.freshness import newest_published  # noqa: PLC0415  few have a table, and it takes a while

    due, newest = deployment.due, newest_published(deployment.home, table)
    told = f"the newest day that {table} was given is {newest or 'none'}"
    if not due.days_behind(newest, deployment.settings.first_day):
        return ok(told)
    scored = iter(deployment.home.lake.days(SCORED))
    first = newest + ONE_DAY if newest else next(scored, deployment.settings.first_day)
    return failed(
        told,
        expected=f"scores of {due.day}: {due.because}",
        remedy="see how the last runs of published_scores ended; the days that lack are written by "
        f"anomaly-assets backfill --from {first} --to {due.day}",
    )


def newest_days(deployment: Deployment) -> Iterator[Finding]:
    """The newest day of each asset."""
    lake = deployment.home.lake
    newest = {asset: lake.newest_day(asset) for asset in ASSETS}
    yield ok(", ".join(f"{asset} {day or 'none'}" for asset, day in newest.items()))
    raw = newest[RAW]
    counts = lake.require(RAW, raw).counts if raw else {}
    if counts.get("n_in"):
        told = f"of {counts['n_in']:,} rows of {raw} the border refused {counts['n_quarantined']:,}"
        if counts["n_kept"] == 0:
            yield warning(told, expected="rows that are kept", remedy="anomaly-assets source check shows why")
        else:
            yield ok(told)


def published_days(deployment: Deployment) -> Iterator[Finding]:
    """Whether every scored day is published."""
    home = deployment.home
    there = {path.name for path in listed(home.output, "*")}
    scored = home.lake.days(SCORED)
    missing = [day for day in scored if home.published_path(day).name not in there]
    yield _not_published(missing) if missing else ok(f"each of {_days(len(scored), 'scored day')} is published")


def gaps(deployment: Deployment) -> Iterator[Finding]:
    """Days that are missing between others."""
    lake = deployment.home.lake
    for asset, done, remedy in (
        (RAW, "ingested", "materialize raw_transactions for them; a backfill does so whose windows hold them"),
        (SCORED, "scored", "anomaly-assets backfill --from {first} --to {last}"),
    ):
        days = lake.days(asset)
        missing = sorted(set(DayRange(days[0], days[-1])) - set(days)) if days else []
        if missing:
            yield warning(
                f"{_days(len(missing))} not {done} between {days[0]} and {days[-1]}: {named(missing)}",
                expected="every day between the first and the newest",
                remedy=remedy.format(first=missing[0], last=missing[-1]),
            )
        elif days:
            yield ok(f"every day is {done} from {days[0]} to {days[-1]}")


def unfinished_days(deployment: Deployment) -> Iterator[Finding]:
    """Days that are over, and were begun and not finished."""
    lake, today = deployment.home.lake, deployment.today
    models, scored, measured = (set(lake.days(asset)) for asset in (MODELS, SCORED, METRICS))
    for begun, lacking in ((models - scored, "trained and not scored"), (scored - measured, "scored and not measured")):
        days = sorted(day for day in begun if day < today)
        if days:
            yield warning(
                f"{_days(len(days))} over, {lacking}: {named(days)}",
                expected="scores and metrics of every trained day that is over",
                remedy="anomaly-assets stale --rematerialize",
            )
    if not any(day < today for day in (models - scored) | (scored - measured)):
        yield ok("every trained day that is over is scored and measured")


def stale_days(deployment: Deployment) -> Iterator[Finding]:
    """Days that no longer follow from what is current."""
    found = stale_partitions(deployment.home, deployment.settings.detection)
    unreadable = [each for each in found if each.unreadable]
    for each in unreadable[:5]:
        yield failed(f"{each.asset} of {each.day}: {each.unreadable}", remedy="anomaly-assets stale names all of them")
    days = sorted({each.day for each in found if not each.unreadable})
    if days:
        yield warning(
            f"{_days(len(days))} stale: {named(days)}",
            expected="days that follow from what is current",
            remedy="anomaly-assets stale tells why, anomaly-assets stale --rematerialize makes them again",
        )
    elif not unreadable:
        yield ok("no day is stale")


def named(days: Sequence[date]) -> str:
    """The days, or the first three of many."""
    shown = ", ".join(map(str, days[:3]))
    return shown if len(days) <= 3 else f"{shown} and {len(days) - 3} more"


def _not_published(days: Sequence[date]) -> Finding:
    return failed(
        f"{_days(len(days))} scored and not published: {named(days)}",
        expected="a file in output/ for every scored day",
        remedy=f"anomaly-assets backfill --from {days[0]} --to {days[-1]} copies the sealed bytes",
    )


def _days(count: int, what: str = "day") -> str:
    if what != "day":
        return f"{count:,} {what}{'' if count == 1 else 's'}"
    return f"{count:,} {'day is' if count == 1 else 'days are'}"
