"""How far data files reach, told in a moment: by statistics, by copies that are there, by a look into few bytes."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anomaly_assets.adapters.sources import newest_day as module
from anomaly_assets.adapters.sources.base import NewestDay
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import SourceError, SourceUnavailable

FIRST = date(2024, 2, 28)
LAST = FIRST + timedelta(days=2)
HEADER = "tx_id,wallet_id,tx_completed_at,total_amount,org_name\n"


def parquet(path: Path, days: list[date], *, zone: str | None = "UTC") -> Path:
    times = [datetime(day.year, day.month, day.day, 12, tzinfo=UTC if zone else None) for day in days]
    table = pa.table(
        {
            "tx_id": [f"t{number}" for number in range(len(days))],
            "wallet_id": ["w"] * len(days),
            "tx_completed_at": pa.array(times, pa.timestamp("us", zone)),
            "total_amount": [1.0] * len(days),
            "org_name": ["o"] * len(days),
        }
    )
    pq.write_table(table, path)
    return path


def csv(path: Path, *days: date) -> Path:
    path.write_text(HEADER + "".join(f"t-{day},w,{day}T12:00:00Z,1.5,o\n" for day in days), encoding="utf-8")
    return path


def test_statistics_tell_of_row_groups_with_several_days_and_nothing_is_read(tmp_path: Path) -> None:
    path = parquet(tmp_path / "all.parquet", [FIRST, LAST, FIRST])
    with mock.patch.object(module, "READ_BYTES", 0):
        assert FilesSource(path).newest_day() == NewestDay(LAST)


@pytest.mark.parametrize("name", ["rows.csv", "local.parquet"])
def test_small_files_are_read_and_large_ones_are_counted(tmp_path: Path, name: str) -> None:
    """Local times need a look at their rows."""
    path = tmp_path / name
    source = FilesSource(path, time_zone="Europe/Berlin")
    csv(path, FIRST, LAST) if name == "rows.csv" else parquet(path, [FIRST, LAST], zone=None)
    assert source.newest_day() == NewestDay(LAST)
    with mock.patch.object(module, "READ_BYTES", 10):
        assert source.newest_day() == NewestDay(None, unread=1)


def test_a_copy_in_order_of_day_tells_and_none_is_made(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    csv(tmp_path / "in" / "rows.csv", FIRST, LAST)
    source = FilesSource(tmp_path / "in", spools=tmp_path / "spools")
    assert source.newest_day() == NewestDay(LAST)
    assert not (tmp_path / "spools").exists()
    list(source.batches(DayRange.of(FIRST)))
    before = sorted((tmp_path / "spools").iterdir())
    csv(tmp_path / "in" / "more.csv", LAST + timedelta(days=1))
    with mock.patch.object(module, "READ_BYTES", 0):
        assert source.newest_day() == NewestDay(LAST, unread=1)
    assert source.newest_day() == NewestDay(LAST + timedelta(days=1))
    assert sorted((tmp_path / "spools").iterdir()) == before


def test_rows_without_a_time_have_no_newest_day(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEADER + "t,w,,1.5,o\n", encoding="utf-8")
    assert FilesSource(path).newest_day() == NewestDay(None)


def test_files_that_are_gone_broken_or_lack_a_column_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="there is nothing at"):
        FilesSource(tmp_path / "absent.parquet").newest_day()
    parquet(tmp_path / "whole.parquet", [FIRST])
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"broken\.parquet cannot be decoded"):
        FilesSource(tmp_path).newest_day()
    broken.unlink()
    (tmp_path / "later.csv").write_text("tx_id,wallet_id\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"later\.csv"):
        FilesSource(tmp_path).newest_day()
