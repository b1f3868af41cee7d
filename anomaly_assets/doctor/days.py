"""Days: which are there, against the one that is due by the clock, and which were begun and not finished."""

from collections.abc import Iterator, Sequence
from datetime import date

from anomaly_assets.adapters.object_path import listed
from anomaly_assets.doctor.deployment import Deployment
from anomaly_assets.doctor.findings import Finding, failed, ok, warning
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.due_days import Freshness
from anomaly_assets.domain.families import assets_of, names_of
from anomaly_assets.domain.lineage import METRICS, RAW, SCORED
from anomaly_assets.evidence.stale import stale_partitions
from anomaly_assets.settings.family_settings import settings_ids

_LACKING = {SCORED: "trained and not scored", METRICS: "scored and not measured"}
"""What is said of a day that is over and has not got the asset."""


def due_day(deployment: Deployment) -> Iterator[Finding]:
    """Whether the day that is due is scored and published."""
    home, newest = deployment.home, deployment.home.lake.newest_day(SCORED)
    found = Freshness(newest, deployment.due, deployment.settings.first_day)
    scored = f"the newest scored day is {newest or 'none'}"
    due, expected = found.due.day, f"scores of {found.due.day}: {found.due.because}"
    if found.is_overdue:
        yield failed(
            f"{scored}, {found.told}",
            expected=expected,
            remedy=f"see that dagster-daemon runs and how the last nights ended; the days are made by {found.command}",
        )
    elif due and not home.lake.is_sealed(SCORED, due):
        yield failed(
            f"{due} is due and not scored, though a later day is; {scored}",
            expected=expected,
            remedy=f"anomaly-assets backfill --from {due} --to {due}",
        )
    else:
        yield ok(f"{scored}; {found.told}")
    if newest and not home.published_path(newest).exists():
        yield _not_published([newest])
    if table := deployment.settings.published_scores.table:
        yield _delivered(deployment, table)


def _delivered(deployment: Deployment, table: str) -> Finding:
    """Whether the table elsewhere was given the day that is due."""
    from anomaly_assets.views.freshness import newest_published  # noqa: PLC0415  few have a table, and it takes a while

    scored = deployment.home.lake.days(SCORED)  # a table that is new is behind by these, not by all days of the home
    first = scored[0] if scored else deployment.settings.first_day
    found = Freshness(newest_published(deployment.home, table), deployment.due, first)
    told = f"the newest day that {table} was given is {found.newest or 'none'}"
    if not found.is_overdue:
        return ok(told)
    return failed(
        told,
        expected=f"scores of {found.due.day}: {found.due.because}",
        remedy=f"see how the last runs of published_scores ended; the days that lack are written by {found.command}",
    )


def newest_days(deployment: Deployment) -> Iterator[Finding]:
    """The newest day of each asset."""
    lake = deployment.home.lake
    newest = {asset: lake.newest_day(asset) for asset in names_of(deployment.families)}
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


def days_to_make_again(deployment: Deployment) -> Iterator[Finding]:
    """What ``stale`` lists: days that no longer follow from what is current, and those that were begun and are over."""
    families = deployment.families
    found = stale_partitions(
        deployment.home, settings_ids(deployment.settings, families), families, today=deployment.today
    )
    unreadable = [each for each in found if each.unreadable]
    for each in unreadable[:5]:
        yield failed(f"{each.asset} of {each.day}: {each.unreadable}", remedy="anomaly-assets stale names all of them")
    for asset in assets_of(families):
        if days := [each.day for each in found if each.begun_with and each.asset == asset.name]:
            yield warning(
                f"{_days(len(days))} over, {_LACKING.get(asset.name, f'without {asset.name}')}: {named(days)}",
                expected=f"{asset.name} of every day that is over and has {asset.after}",
                remedy="anomaly-assets stale --rematerialize",
            )
    stale = {each.day for each in found if not (each.unreadable or each.begun_with)}
    if stale:
        yield warning(
            f"{_days(len(stale))} stale: {named(sorted(stale))}",
            expected="days that follow from what is current",
            remedy="anomaly-assets stale tells why, anomaly-assets stale --rematerialize makes them again",
        )
    if not found:
        yield ok("every day that was begun and is over is finished, and none is stale")


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
