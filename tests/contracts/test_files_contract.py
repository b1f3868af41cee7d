"""What every source of transactions promises, held against files read in place, put in order, and of mixed folders."""

import csv
import gc
import gzip
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from anomaly_assets.adapters.sources.base import HasColumns, TransactionSource
from anomaly_assets.adapters.sources.day_index import DayIndexes
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.domain.border import BorderRules, as_input_table, clean_day
from anomaly_assets.domain.days import ONE_DAY, DayRange
from anomaly_assets.domain.errors import OutsideCoverage
from anomaly_assets.domain.schema import INPUT_COLUMNS

FIRST, N_DAYS, PER_DAY = date(2024, 3, 1), 6, 40
DAYS = DayRange(FIRST, FIRST + timedelta(days=N_DAYS))
Row = tuple[str, str, datetime, float, str | None]


def rows() -> list[Row]:
    """Rows of DAYS in order of time, with one in the first and the last microsecond of each day."""
    made: list[Row] = []
    for day in DAYS:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        moments = [start, *(start + timedelta(minutes=33 * n, microseconds=n) for n in range(1, PER_DAY - 1))]
        for n, moment in enumerate([*moments, start + ONE_DAY - timedelta(microseconds=1)]):
            made.append((f"{day:%d}-{n:03}", f"w{n % 5}", moment, 10.25 + n, "shop" if n % 3 else None))
    return made


def as_parquet(path: Path, delivered: list[Row], group: int = PER_DAY) -> None:
    columns = list(zip(*delivered, strict=True))
    table = pa.table([pa.array(column) for column in columns], names=list(INPUT_COLUMNS))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)


def as_csv(path: Path, delivered: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(INPUT_COLUMNS)
        writer.writerows((i, w, moment.isoformat(), amount, o or "") for i, w, moment, amount, o in delivered)


def scattered(delivered: list[Row]) -> list[Row]:
    """In an order that has every day everywhere."""
    return [row for start in range(PER_DAY) for row in delivered[start::PER_DAY]]


def mixed(folder: Path, delivered: list[Row]) -> None:
    as_parquet(folder / "year=2024" / "a.parquet", delivered[:100])
    as_csv(folder / "year=2024" / "b.csv.gz", delivered[100:])


FORMS: dict[str, Callable[[Path], None]] = {
    "in-place.parquet": lambda path: as_parquet(path, rows()),
    "across-days.parquet": lambda path: as_parquet(path, rows(), 70),
    "in-no-order.parquet": lambda path: as_parquet(path, scattered(rows()), 60),
    "rows.csv": lambda path: as_csv(path, scattered(rows())),
    "rows.csv.gz": lambda path: as_csv(path, rows()),
    "folder": lambda path: mixed(path, scattered(rows())),
}


@pytest.fixture(params=FORMS)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TransactionSource]:
    """A source over each form; no file is open when the test is over."""
    FORMS[request.param](tmp_path / request.param)
    yield FilesSource(tmp_path / request.param, first_day=FIRST, spools=tmp_path / "spools", indexes=DayIndexes())
    assert open_files(tmp_path) == 0


def open_files(folder: Path) -> int:
    return sum(folder in link.resolve().parents for link in Path("/proc/self/fd").iterdir() if link.exists())


def read(source: TransactionSource, days: DayRange) -> pa.Table:
    return as_input_table(source.batches(days))


def test_each_day_has_its_rows_from_the_first_to_the_last_microsecond(source: TransactionSource) -> None:
    assert (source.coverage().first, source.coverage().end) == (DAYS.first, DAYS.end)
    for day in DAYS:
        clean = clean_day(read(source, DayRange.of(day)), day, BorderRules())
        assert clean.ledger.n_kept == clean.ledger.n_in == PER_DAY
        expected = sorted(row for row in rows() if row[2].date() == day)
        kept = sorted(tuple(row.values()) for row in clean.kept.to_pylist())
        assert kept == expected


def test_the_own_count_is_that_of_the_rows_and_a_range_is_its_days(source: TransactionSource) -> None:
    assert source.probe(DAYS).n_rows == read(source, DAYS).num_rows == len(rows())
    for day in DAYS:
        assert source.probe(DayRange.of(day)).n_rows == PER_DAY


def test_every_form_of_the_same_rows_has_the_canonical_columns(source: TransactionSource) -> None:
    for batch in source.batches(DayRange.of(FIRST)):
        assert tuple(batch.schema.names) == INPUT_COLUMNS


def test_days_outside_are_not_covered(source: TransactionSource) -> None:
    for days in (DayRange.of(FIRST - ONE_DAY), DayRange.of(DAYS.end), DayRange(FIRST - ONE_DAY, DAYS.end)):
        with pytest.raises(OutsideCoverage):
            source.probe(days)


def test_an_iterator_given_up_midway_holds_nothing(source: TransactionSource, tmp_path: Path) -> None:
    batches = source.batches(DAYS)
    assert next(batches).num_rows > 0
    batches.close()  # type: ignore[attr-defined]
    assert open_files(tmp_path) == 0
    forgotten = source.batches(DAYS)
    next(forgotten)
    del forgotten
    gc.collect()
    assert open_files(tmp_path) == 0


def test_it_says_which_columns_it_has(source: TransactionSource) -> None:
    assert isinstance(source, HasColumns)
    assert set(source.columns_found()) == set(INPUT_COLUMNS)


@pytest.mark.parametrize("name", ["large.parquet", "large.csv"])
def test_a_large_day_streams_in_a_part_of_its_size(tmp_path: Path, name: str) -> None:
    """What Arrow holds between batches stays below a third of all that passes."""
    numbers = pa.array(range(3_000_000))
    text = numbers.cast(pa.string())
    moments = pc.add(numbers, pa.scalar(1_709_251_200_000_000)).cast(pa.timestamp("us"))
    table = pa.table([text, text, moments, pc.divide(numbers, 7.0), text], names=list(INPUT_COLUMNS))
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(table, path, row_group_size=table.num_rows)
    else:
        pacsv.write_csv(table, path)
    del table, numbers, text, moments
    source = FilesSource(path, indexes=DayIndexes())
    source.coverage()
    before, held, passed = pa.total_allocated_bytes(), [], 0
    for batch in source.batches(DayRange.of(FIRST)):
        passed += batch.nbytes
        held.append(pa.total_allocated_bytes() - before)
    assert passed > 30_000_000
    assert max(held) < passed / 3
