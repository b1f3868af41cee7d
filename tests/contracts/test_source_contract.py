"""What every source of transactions promises, held against each of them over the same kind of days."""

import csv
import gc
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snowflake_stand_in import CANARY, StandIn

from anomaly_assets.adapters.sources.base import TransactionSource
from anomaly_assets.adapters.sources.day_index import DayIndexes
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.adapters.sources.snowflake_configured import snowflake_source
from anomaly_assets.adapters.sources.synthetic import SyntheticSource
from anomaly_assets.domain.border import BorderRules, as_input_table, clean_day
from anomaly_assets.domain.days import ONE_DAY, DayRange
from anomaly_assets.domain.errors import OutsideCoverage
from anomaly_assets.domain.identity import canonical_json
from anomaly_assets.domain.schema import INPUT_COLUMNS
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.settings import load_settings

FIRST = date(2024, 3, 1)
DAYS = [FIRST + timedelta(days=offset) for offset in range(4)]
EMPTY = DAYS[2]
"""No rows: the other days have some (the synthetic source has no such day)."""
PER_DAY = 40
ZONE = "America/New_York"

Row = tuple[str, str, datetime, float, str | None]


class Opened(NamedTuple):
    """A source, and what can be done to what it reads.

    Parameters
    ----------
    source : under test
    again : another one over the same rows
    shuffle : puts the rows into another order, where there is one
    change : changes one amount of a day
    holds : how many things (sessions, files) are open right now
    """

    source: TransactionSource
    again: Callable[[], TransactionSource]
    shuffle: Callable[[], None]
    change: Callable[[], None]
    holds: Callable[[], int]


def rows() -> list[Row]:
    """Rows of DAYS, with one in the first and the last microsecond of each day but the empty one."""
    made: list[Row] = []
    for day in DAYS:
        if day == EMPTY:
            continue
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        moments = [start, start + ONE_DAY - timedelta(microseconds=1)]
        moments += [start + timedelta(minutes=33 * n, microseconds=n) for n in range(1, PER_DAY - 1)]
        for n, moment in enumerate(moments):
            made.append((f"{day:%d}-{n:03}", f"w{n % 5}", moment, 10.25 + n, "shop" if n % 3 else None))
    return made


def local(moment: datetime) -> datetime:
    """The same instant as a clock in New York shows it (five hours behind, on these days)."""
    return (moment - timedelta(hours=5)).replace(tzinfo=None)


def synthetic(folder: Path, stand_in: StandIn) -> Opened:
    worlds = iter([7, 8])

    def world(seed: int = 7) -> SyntheticSource:
        return SyntheticSource(seed=seed, wallets=50, transactions_per_day=200, first_day=FIRST)

    source = world()

    def change() -> None:
        next(worlds)
        source._world = world(next(worlds))._world

    return Opened(source, world, lambda: None, change, lambda: 0)


def _files(write: Callable[[Path, list[Row]], None], name: str) -> Callable[[Path, StandIn], Opened]:
    def made(folder: Path, stand_in: StandIn) -> Opened:
        path, delivered = folder / name, rows()
        write(path, delivered)

        def source() -> FilesSource:
            return FilesSource(path, time_zone=ZONE, first_day=FIRST, indexes=DayIndexes())

        def changed() -> None:
            write(path, [(i, w, t, a + (i == "02-003"), o) for i, w, t, a, o in delivered])

        return Opened(source(), source, lambda: write(path, delivered[::-1]), changed, lambda: _open_files(path))

    return made


def _open_files(path: Path) -> int:
    return sum(link.resolve() == path for link in Path("/proc/self/fd").iterdir() if link.exists())


def _write_parquet(path: Path, delivered: list[Row]) -> None:
    columns = list(zip(*delivered, strict=True))
    times = pa.array([local(moment) for moment in columns[2]], pa.timestamp("us"))
    pq.write_table(pa.table([columns[0], columns[1], times, columns[3], columns[4]], names=list(INPUT_COLUMNS)), path)


def _write_csv(path: Path, delivered: list[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(INPUT_COLUMNS)
        writer.writerows((i, w, local(t).isoformat(timespec="microseconds"), a, o or "") for i, w, t, a, o in delivered)


def _snowflake(kind: str) -> Callable[[Path, StandIn], Opened]:
    def made(folder: Path, stand_in: StandIn) -> Opened:
        def fill(delivered: list[Row]) -> None:
            times = "TIMESTAMP" if kind == "local" else "TIMESTAMPTZ"
            columns = f"TX_ID VARCHAR, WALLET_ID VARCHAR, TX_COMPLETED_AT {times}, TOTAL_AMOUNT DECIMAL(18,4)"
            stand_in.sql(f"CREATE OR REPLACE TABLE {stand_in.table} ({columns}, ORG_NAME VARCHAR)")
            values = ", ".join(
                f"('{i}', '{w}', '{local(t) if kind == 'local' else t}', {a}, NULLIF('{o or ''}', ''))"
                for i, w, t, a, o in delivered
            )
            stand_in.sql(f"INSERT INTO {stand_in.table} VALUES {values}")

        def source() -> TransactionSource:
            plain = {"source.kind": "snowflake", "source.snowflake.table": stand_in.table, "first_day": FIRST}
            more = {"source.snowflake.time_zone": ZONE, "source.snowflake.slice_rows": 15}
            return snowflake_source(load_settings(environ={}, overrides=stand_in.settings(**plain, **more)))

        def change() -> None:
            stand_in.sql(f"UPDATE {stand_in.table} SET TOTAL_AMOUNT = TOTAL_AMOUNT + 1 WHERE TX_ID = '02-003'")

        fill(rows())
        return Opened(source(), source, lambda: fill(rows()[::-1]), change, stand_in.open_sessions)

    return made


SOURCES: dict[str, Callable[[Path, StandIn], Opened]] = {
    "synthetic": synthetic,
    "parquet": _files(_write_parquet, "rows.parquet"),
    "csv": _files(_write_csv, "rows.csv"),
    "snowflake, local times": _snowflake("local"),
    "snowflake, times with zone": _snowflake("zoned"),
}
DELIVERED = [name for name in SOURCES if name != "synthetic"]


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path, stand_in: StandIn) -> Iterator[Opened]:
    """The source named by the test's parameter; it holds nothing when the test is over."""
    made = SOURCES[request.param](tmp_path, stand_in)
    yield made
    assert made.holds() == 0


every_source = pytest.mark.parametrize("opened", SOURCES, indirect=True)
delivered_sources = pytest.mark.parametrize("opened", DELIVERED, indirect=True)


def read(source: TransactionSource, days: DayRange) -> pa.Table:
    return as_input_table(source.batches(days))


def day_of(source: TransactionSource, day: date, table: pa.Table) -> Any:
    rules = BorderRules(time_zone=source.time_zone)
    return clean_day(table, day, rules)


@every_source
def test_every_row_of_a_day_is_inside_it_and_none_is_on_two_days(opened: Opened) -> None:
    """Half-open UTC days: what the border reads of each row's time lies in the day that was asked for."""
    seen: set[str] = set()
    for day in DAYS:
        clean = day_of(opened.source, day, read(opened.source, DayRange.of(day)))
        assert clean.ledger.n_quarantined == 0
        ids = set(clean.kept.column("tx_id").to_pylist())
        assert not ids & seen
        seen |= ids
    assert len(seen) > PER_DAY


@delivered_sources
def test_the_first_and_the_last_microsecond_of_a_day_belong_to_it(opened: Opened) -> None:
    kept = day_of(opened.source, DAYS[1], read(opened.source, DayRange.of(DAYS[1]))).kept
    ids = set(kept.column("tx_id").to_pylist())
    assert ids == {row[0] for row in rows() if row[2].date() == DAYS[1]}
    assert {"02-000", "02-001"} <= ids


@every_source
def test_a_range_of_days_is_its_days_together(opened: Opened) -> None:
    together = read(opened.source, DayRange(DAYS[0], DAYS[-1] + ONE_DAY)).column("tx_id").to_pylist()
    apart = [i for day in DAYS for i in read(opened.source, DayRange.of(day)).column("tx_id").to_pylist()]
    assert sorted(together) == sorted(apart)


@every_source
def test_batches_have_the_canonical_columns_and_one_type_each(opened: Opened) -> None:
    schemas = {batch.schema for batch in opened.source.batches(DayRange.of(DAYS[1]))}
    assert len({schema.remove_metadata() for schema in schemas}) == 1
    assert tuple(schemas.pop().names) == INPUT_COLUMNS


@every_source
def test_the_own_count_is_that_of_the_rows_delivered(opened: Opened) -> None:
    for day in DAYS:
        assert opened.source.probe(DayRange.of(day)).n_rows == read(opened.source, DayRange.of(day)).num_rows


@every_source
def test_days_and_fingerprints_are_the_same_whoever_asks_and_whatever_the_order(opened: Opened) -> None:
    days = DayRange.of(DAYS[1])
    before = opened.source.probe(days), table_digest(day_of(opened.source, DAYS[1], read(opened.source, days)).kept)
    opened.shuffle()
    for source in (opened.source, opened.again()):
        after = source.probe(days), table_digest(day_of(source, DAYS[1], read(source, days)).kept)
        assert after == before


@every_source
def test_a_changed_amount_changes_the_fingerprint_of_its_day(opened: Opened) -> None:
    changed, other = DayRange.of(DAYS[1]), DayRange.of(DAYS[0])
    before, before_other = opened.source.probe(changed), opened.source.probe(other)
    opened.change()
    assert opened.source.probe(changed).fingerprint != before.fingerprint
    if before_other != opened.source.probe(other):  # another world is another on every day
        assert isinstance(opened.source, SyntheticSource)


@delivered_sources
def test_a_day_without_rows_between_others_is_empty(opened: Opened) -> None:
    assert read(opened.source, DayRange.of(EMPTY)).num_rows == 0
    assert opened.source.probe(DayRange.of(EMPTY)).n_rows == 0


@every_source
def test_a_day_before_the_first_is_not_covered(opened: Opened) -> None:
    before = DayRange.of(FIRST - ONE_DAY)
    assert opened.source.coverage().first == FIRST
    with pytest.raises(OutsideCoverage):
        read(opened.source, before)
    with pytest.raises(OutsideCoverage):
        opened.source.probe(before)
    with pytest.raises(OutsideCoverage):
        read(opened.source, DayRange(FIRST - ONE_DAY, FIRST + ONE_DAY))


@delivered_sources
def test_a_day_after_the_last_is_not_covered(opened: Opened) -> None:
    assert opened.source.coverage().end == DAYS[-1] + ONE_DAY
    with pytest.raises(OutsideCoverage):
        read(opened.source, DayRange.of(DAYS[-1] + ONE_DAY))


@every_source
def test_an_iterator_given_up_midway_holds_nothing(opened: Opened) -> None:
    batches = opened.source.batches(DayRange.of(DAYS[1]))
    assert next(batches).num_rows > 0
    batches.close()  # type: ignore[attr-defined]
    assert opened.holds() == 0
    forgotten = opened.source.batches(DayRange.of(DAYS[1]))
    next(forgotten)
    del forgotten
    gc.collect()
    assert opened.holds() == 0


def a_large_synthetic_day(stand_in: StandIn) -> TransactionSource:
    return SyntheticSource(seed=7, wallets=50_000, transactions_per_day=600_000, first_day=FIRST)


def a_large_snowflake_day(stand_in: StandIn) -> TransactionSource:
    stand_in.sql(
        f"CREATE TABLE {stand_in.table} AS SELECT 'transaction ' || i AS TX_ID, 'wallet ' || i % 999 AS WALLET_ID, "
        f"TIMESTAMP '{DAYS[1]}' + to_milliseconds(i * 400) AS TX_COMPLETED_AT, i / 7.0::DOUBLE AS TOTAL_AMOUNT, "
        "'an organisation' AS ORG_NAME FROM range(200000) t(i)"
    )
    plain = {"source.kind": "snowflake", "source.snowflake.table": stand_in.table, "first_day": DAYS[1]}
    settings = stand_in.settings(**plain, **{"source.snowflake.slice_rows": 10_000})
    return snowflake_source(load_settings(environ={}, overrides=settings))


@pytest.mark.parametrize("large", [a_large_synthetic_day, a_large_snowflake_day])
def test_a_large_day_streams_in_a_part_of_its_size(
    large: Callable[[StandIn], TransactionSource], stand_in: StandIn
) -> None:
    """What Arrow holds between batches stays below a third of all that passes. (Files are indexed whole, once.)"""
    source, held, passed = large(stand_in), [], 0
    before = pa.total_allocated_bytes()
    for batch in source.batches(DayRange.of(DAYS[1])):
        passed += batch.nbytes
        held.append(pa.total_allocated_bytes() - before)
    assert passed > 5_000_000
    assert max(held) < passed / 3


@every_source
def test_the_identity_is_stable_json_without_secrets_and_so_is_the_representation(opened: Opened) -> None:
    first, second = opened.source.identity, opened.again().identity
    assert canonical_json(first) == canonical_json(second)
    assert CANARY not in json.dumps(first) + repr(opened.source)


@every_source
def test_the_time_zone_is_a_name_the_border_knows(opened: Opened) -> None:
    assert BorderRules(time_zone=opened.source.time_zone).time_zone in {"UTC", ZONE}
