"""What a source delivers and what the border would make of it, before anything is stored."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.sources.base import Coverage, HasColumns, TransactionSource
from anomaly_assets.adapters.sources.column_names import nearest
from anomaly_assets.domain.border import BorderRules, CleanDay, as_input_table, clean_day
from anomaly_assets.domain.border_text import as_text, is_text_type, printed_text
from anomaly_assets.domain.days import ONE_DAY, DayRange
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.schema import INPUT_COLUMNS, QUARANTINE

SAMPLE_ROWS = 5
_WITH_ZONE = r":[0-9.]+(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$"


@dataclass(frozen=True)
class WantedColumn:
    """A column that is needed.

    Parameters
    ----------
    name, wanted : the canonical name and the source's
    found : its type in the source; None when it is missing
    nearest : the source's column that looks most like a missing one
    """

    name: str
    wanted: str
    found: str | None
    nearest: str | None = None


@dataclass(frozen=True)
class DayCounts:
    """Rows of one day: as the source counts them, and what the border would make of them."""

    day: date
    counted: int
    delivered: int
    kept: int
    quarantined: int
    duplicates: int
    ambiguous_times: int


@dataclass
class Zones:
    """Whether times say where they are: the declared zone, and rows whose times carry a zone or none."""

    declared: str
    with_zone: int = 0
    without_zone: int = 0


@dataclass
class SourceReport:
    """What was found, as far as the source could be read; ``problems`` tell why it cannot be used as configured.

    Parameters
    ----------
    wanted, others : the needed columns, and the source's other ones with their types
    coverage : first and last covered day; the last is None when there is none
    sample : rows of the last day, values as delivered and printed
    refused : rows over ``days`` by reason; ``examples`` has one of each, printed
    """

    identity: JsonObject
    zones: Zones
    wanted: list[WantedColumn] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    coverage: tuple[date, date | None] | None = None
    sample: list[dict[str, str | None]] = field(default_factory=list)
    days: list[DayCounts] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    examples: dict[str, dict[str, str | None]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def check_source(
    source: TransactionSource,
    rules: BorderRules,
    *,
    first_day: date,
    n_days: int,
    today: date,
    say: Callable[[str], None] = lambda _: None,
) -> SourceReport:
    """Look at the columns, the last ``n_days`` finished days and the first one, which rows without a time come with.

    Parameters
    ----------
    first_day : of the home that the source is for
    today : the UTC day
    say : told what is looked at

    Holds one day's rows at a time and stores nothing. Errors of the source end in ``problems``.
    """
    report = SourceReport(source.identity, Zones(source.time_zone))
    with _noting(report.problems):
        say("columns")
        _columns(source, report)
    with _noting(report.problems):
        say("covered days")
        coverage = source.coverage()
        report.coverage = (coverage.first, coverage.end and coverage.end - ONE_DAY)
        if first_day < coverage.first:
            report.problems.append(
                f"first_day is {first_day}, before the first covered day.\nWhat to do: set first_day: {coverage.first}"
            )
        for day in _examined(coverage, first_day, n_days, today):
            say(str(day))
            _examine(source, rules, day, report)
        _judge(report)
    return report


@contextmanager
def _noting(problems: list[str]) -> Iterator[None]:
    """Let an error of the source be a problem, told once."""
    try:
        yield
    except AnomalyAssetsError as error:
        if str(error) not in problems:
            problems.append(str(error))


def _columns(source: TransactionSource, report: SourceReport) -> None:
    if not isinstance(source, HasColumns):
        return
    found = source.columns_found()
    names = _wanted_names(report)
    report.wanted = [
        WantedColumn(name, theirs, found.get(theirs), None if theirs in found else nearest(theirs, list(found)))
        for name, theirs in names.items()
    ]
    report.others = {name: kind for name, kind in found.items() if name not in names.values()}


def _wanted_names(report: SourceReport) -> dict[str, str]:
    """Canonical name to the source's, which its identity maps where they differ."""
    columns = report.identity.get("columns")
    return {name: str(columns.get(name, name)) if isinstance(columns, Mapping) else name for name in INPUT_COLUMNS}


def _examined(coverage: Coverage, first_day: date, n_days: int, today: date) -> Iterator[date]:
    end = min(coverage.end or today, today)
    last_days = DayRange(max(coverage.first, end - timedelta(days=n_days)), end)
    first = max(coverage.first, first_day)
    if first not in last_days and first < end:
        yield first
    yield from last_days


def _examine(source: TransactionSource, rules: BorderRules, day: date, report: SourceReport) -> None:
    counted = source.probe(DayRange.of(day)).n_rows
    table = as_input_table(source.batches(DayRange.of(day)))
    if not report.wanted:
        kinds = {name: str(table.schema.field(name).type) for name in INPUT_COLUMNS}
        report.wanted = [WantedColumn(name, theirs, kinds[name]) for name, theirs in _wanted_names(report).items()]
    with_zone, without = _zones(table.column("tx_completed_at"))
    report.zones.with_zone += with_zone
    report.zones.without_zone += without
    if table.num_rows:
        report.sample = _printed(table.slice(0, SAMPLE_ROWS))
    clean = clean_day(table, day, rules)
    ledger = clean.ledger
    report.days.append(
        DayCounts(
            day, counted, ledger.n_in, ledger.n_kept, ledger.n_quarantined, ledger.n_duplicate, ledger.n_ambiguous_times
        )
    )
    if counted != ledger.n_in:
        report.problems.append(f"the source counts {counted:,} rows on {day} and delivers {ledger.n_in:,}")
    for reason, count in ledger.by_reason.items():
        report.refused[reason] = report.refused.get(reason, 0) + count
        report.examples.setdefault(reason, _example(clean, reason))


def _zones(times: pa.ChunkedArray) -> tuple[int, int]:
    """Times that carry a zone, and times that carry none."""
    n_times = len(times) - times.null_count
    if not is_text_type(times.type):
        is_zoned = pa.types.is_timestamp(times.type) and times.type.tz is not None
        return (n_times, 0) if is_zoned else (0, n_times)
    zoned = pc.sum(pc.match_substring_regex(as_text(times)[0], _WITH_ZONE)).as_py() or 0
    return zoned, n_times - zoned


def _example(clean: CleanDay, reason: str) -> dict[str, str | None]:
    rows = clean.quarantine.filter(pc.equal(clean.quarantine.column("reason"), reason)).slice(0, 1)
    example: dict[str, str | None] = next(iter(rows.to_pylist()))
    return {name: example[name] for name in QUARANTINE.names() if name != "reason"}


def _printed(table: pa.Table) -> list[dict[str, str | None]]:
    printed = pa.table({name: printed_text(table.column(name)) for name in INPUT_COLUMNS})
    rows: list[dict[str, str | None]] = printed.to_pylist()
    return rows


def _judge(report: SourceReport) -> None:
    """What makes the rows useless although they could be read."""
    delivered, kept = (sum(getattr(day, name) for day in report.days) for name in ("delivered", "kept"))
    if not report.days:
        report.problems.append("the source covers no finished day")
    elif delivered == 0:
        report.problems.append(f"none of the {len(report.days)} days has rows")
    elif kept == 0:
        report.problems.append(f"the border would refuse all {delivered:,} rows; the reasons are listed above")
