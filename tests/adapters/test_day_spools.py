"""Files in order of day: read once, kept while they are good, equal to what the file holds however it is cut."""

import csv
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anomaly_assets.adapters.sources import csv_text, day_spool
from anomaly_assets.adapters.sources.day_index import DayIndexes
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.domain.border import as_input_table
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import SourceUnavailable
from anomaly_assets.domain.schema import INPUT_COLUMNS

FIRST, N_DAYS, N_ROWS = date(2024, 1, 1), 5, 400


@pytest.fixture
def rows() -> list[tuple[str, ...]]:
    """Rows of five days in no order, one in twenty without a time."""
    chance = random.Random(5)
    midnight = datetime(2024, 1, 1, tzinfo=UTC)
    moments = [midnight + timedelta(seconds=chance.randrange(N_DAYS * 86_400)) for _ in range(N_ROWS)]
    return [
        (
            f"t{number}",
            f"w{number % 7}",
            moment.isoformat() if number % 20 else "",
            f"{number}.5",
            'a "b"\nc' * (number % 3),
        )
        for number, moment in enumerate(moments)
    ]


def write(path: Path, rows: list[tuple[str, ...]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([INPUT_COLUMNS, *rows])
    return path


def opened(path: Path, folder: Path | None = None) -> FilesSource:
    """As another process would open it."""
    return FilesSource(path, spools=folder, indexes=DayIndexes())


def by_day(source: FilesSource) -> dict[date, list[dict[str, Any]]]:
    coverage = source.coverage()
    assert coverage.end is not None
    return {
        day: as_input_table(source.batches(DayRange.of(day))).sort_by("tx_id").to_pylist()
        for day in DayRange(coverage.first, coverage.end)
    }


def the_only(folder: Path) -> Path:
    (path,) = folder.glob("*.parquet")
    return path


def test_a_file_is_read_once_for_all_days_and_processes(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    path, folder = write(tmp_path / "x.csv", rows), tmp_path / "spools"
    first = by_day(opened(path, folder))
    made = the_only(folder).stat()
    assert by_day(opened(path, folder)) == first
    assert the_only(folder).stat() == made or the_only(folder).stat().st_ino == made.st_ino
    assert sum(map(len, first.values())) == N_ROWS


def test_rows_come_out_the_same_however_small_the_pieces(
    tmp_path: Path, rows: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "x.csv", rows)
    at_once = by_day(opened(path))
    monkeypatch.setattr(csv_text, "BLOCK_BYTES", 23)
    monkeypatch.setattr(day_spool, "SORTED_BYTES", 400)
    monkeypatch.setattr(day_spool, "ROW_GROUP_ROWS", 3)
    assert by_day(opened(path, tmp_path / "spools")) == at_once
    assert pq.read_metadata(the_only(tmp_path / "spools")).num_row_groups > 50


def test_a_changed_file_is_put_in_order_again_in_the_same_place(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    path, folder = write(tmp_path / "x.csv", rows), tmp_path / "spools"
    source = opened(path, folder)
    assert sum(map(len, by_day(source).values())) == N_ROWS
    write(path, rows[:-1])
    assert sum(map(len, by_day(source).values())) == N_ROWS - 1
    assert the_only(folder)


def test_spools_of_vanished_files_and_other_settings_are_removed(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    (tmp_path / "data").mkdir()
    kept, gone = write(tmp_path / "data" / "a.csv", rows), write(tmp_path / "data" / "b.csv", rows)
    folder = tmp_path / "spools"
    opened(tmp_path / "data", folder).coverage()
    assert len(list(folder.glob("*.parquet"))) == 2
    gone.unlink()
    FilesSource(kept.parent, time_zone="Asia/Tokyo", spools=folder, indexes=DayIndexes()).coverage()
    assert the_only(folder)


def test_what_a_killed_maker_left_is_removed(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    path, folder = write(tmp_path / "x.csv", rows), tmp_path / "spools"
    folder.mkdir()
    (folder / ".left.parquet.1.tmp").write_bytes(b"half")
    opened(path, folder).coverage()
    assert list(folder.glob(".*.tmp")) == []


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_spool_that_is_no_parquet_file_any_more_is_made_again(
    tmp_path: Path, rows: list[tuple[str, ...]], keep: int
) -> None:
    path, folder = write(tmp_path / "x.csv", rows), tmp_path / "spools"
    before = by_day(opened(path, folder))
    the_only(folder).write_bytes(the_only(folder).read_bytes()[:keep])
    assert by_day(opened(path, folder)) == before


def test_a_damaged_page_of_a_spool_is_never_delivered(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    path, folder = write(tmp_path / "x.csv", rows), tmp_path / "spools"
    before = by_day(opened(path, folder))
    spool = the_only(folder)
    content = bytearray(spool.read_bytes())
    column = pq.read_metadata(spool).row_group(1).column(0)
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    spool.write_bytes(bytes(content))
    with pytest.raises(SourceUnavailable, match="was removed and is made again"):
        by_day(opened(path, folder))
    assert by_day(opened(path, folder)) == before


def parquet(path: Path, times: list[datetime], per_group: int, **options: Any) -> Path:
    columns = {name: pa.array([f"{name}{n}" for n in range(len(times))]) for name in INPUT_COLUMNS}
    columns["tx_completed_at"] = pa.array(times, options.pop("kind", pa.timestamp("us", tz="UTC")))
    columns["total_amount"] = pa.array([float(n) for n in range(len(times))])
    pq.write_table(pa.table(columns), path, row_group_size=per_group, **options)
    return path


def hourly(n_hours: int) -> list[datetime]:
    return [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(n_hours)]


@pytest.mark.parametrize("options", [{}, {"write_statistics": False}, {"kind": pa.timestamp("ns", tz="UTC")}])
@pytest.mark.parametrize("per_group", [24, 36, 7])
def test_a_parquet_file_in_order_of_time_is_read_in_place(
    tmp_path: Path, per_group: int, options: dict[str, Any]
) -> None:
    path, folder = parquet(tmp_path / "x.parquet", hourly(72), per_group, **options), tmp_path / "spools"
    days = by_day(opened(path, folder))
    assert [len(found) for found in days.values()] == [24, 24, 24]
    assert {row["tx_completed_at"].date() for row in days[FIRST]} == {FIRST}
    assert not list(folder.glob("*.parquet"))


def test_a_parquet_file_in_no_order_is_put_in_order_once(tmp_path: Path) -> None:
    times = hourly(24 * 9)
    random.Random(1).shuffle(times)
    path, folder = parquet(tmp_path / "x.parquet", times, 100), tmp_path / "spools"
    days = by_day(opened(path, folder))
    assert [len(found) for found in days.values()] == [24] * 9
    assert the_only(folder)


def test_statistics_of_local_times_are_not_believed_in_a_zone_with_gaps(tmp_path: Path) -> None:
    """Between its first and last time a row group may hold a time that never was."""
    times = [datetime(2024, 3, 31, hour, 30) for hour in (1, 2, 3)]  # noqa: DTZ001 (local)
    path = parquet(tmp_path / "x.parquet", times, 3, kind=pa.timestamp("us"))
    source = FilesSource(path, time_zone="Europe/Berlin", first_day=date(2024, 3, 31), indexes=DayIndexes())
    assert source.probe(DayRange.of(date(2024, 3, 31))).n_rows == 3
    later = FilesSource(path, time_zone="Europe/Berlin", first_day=date(2024, 3, 30), indexes=DayIndexes())
    assert later.probe(DayRange.of(date(2024, 3, 31))).n_rows == 3


def test_the_temporary_folder_goes_with_the_indexes(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    indexes = DayIndexes()
    FilesSource(write(tmp_path / "x.csv", rows), indexes=indexes).coverage()
    folder = indexes._temporary
    assert folder is not None
    assert the_only(folder)
    del indexes
    assert not folder.exists()


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
