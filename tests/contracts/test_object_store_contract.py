"""Data files in an object store are read as those on a disk are: same rows, same days, same errors."""

import gzip
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from object_store import BUCKET, object_store

from anomaly_assets.adapters.object_path import ObjectPath
from anomaly_assets.adapters.sources.day_index import DayIndexes
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.domain.border import as_input_table
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import OutsideCoverage, SourceError, SourceUnavailable

DAYS = [date(2024, 3, day) for day in (1, 2, 3)]
HEADER = "tx_id,wallet_id,tx_completed_at,total_amount,org_name\n"


@pytest.fixture(scope="module")
def parameters() -> Iterator[str]:
    with object_store() as parameters:
        yield parameters


def lines(day: date) -> str:
    return "".join(f"t{day:%d}{n},w{n % 3},{day}T{n % 24:02}:00:00Z,{n}.25,\n" for n in range(50))


def fill(folder: Path) -> None:
    """A CSV file, a compressed one and a parquet file, one below the other's folder; and what is no data."""
    (folder / "org_name=Acme%20Ltd").mkdir(parents=True)
    (folder / "a.csv").write_text(HEADER + lines(DAYS[0]) + lines(DAYS[2])[:200].rsplit("\n", 1)[0] + "\n")
    (folder / "b.csv.gz").write_bytes(gzip.compress((HEADER + lines(DAYS[1])).encode()))
    rows = [line.split(",") for line in lines(DAYS[2]).splitlines()]
    columns = list(zip(*rows, strict=True))
    names = ["tx_id", "wallet_id", "tx_completed_at", "total_amount"]
    table = pa.table(dict(zip(names, map(list, columns[:4]), strict=True)))
    pq.write_table(table.set_column(3, "total_amount", table.column(3).cast(pa.float64())), folder / "c.parquet")
    (folder / "_SUCCESS").write_text("")
    (folder / "notes.txt").write_text("no data")
    (folder / "c.parquet").rename(folder / "org_name=Acme%20Ltd" / "c.parquet")


@pytest.fixture
def both(tmp_path: Path, parameters: str) -> tuple[FilesSource, FilesSource]:
    """The same files on a disk and in the store."""
    folder = tmp_path / "files"
    fill(folder)
    there = ObjectPath.of(f"s3://{BUCKET}/{tmp_path.name}?{parameters}")
    for path in folder.rglob("*"):
        if path.is_file():
            target = there
            for part in path.relative_to(folder).parts:
                target = target / part
            target.write_bytes(path.read_bytes())
    return of(folder, tmp_path / "spools"), of(f"{there}?{parameters}", tmp_path / "others")


def of(path: Path | str, spools: Path) -> FilesSource:
    return FilesSource(path, indexes=DayIndexes(), spools=spools)


def test_the_same_rows_counts_and_fingerprints_come_of_every_day(both: tuple[FilesSource, FilesSource]) -> None:
    here, there = both
    assert there.coverage() == here.coverage()
    rows = as_input_table(there.batches(DayRange.of(DAYS[2]))).to_pylist()
    assert {row["org_name"] for row in rows} == {b"", b"Acme Ltd"}
    assert there.columns_found() == here.columns_found()
    for day in DAYS:
        days = DayRange.of(day)
        assert as_input_table(there.batches(days)).equals(as_input_table(here.batches(days)))
        assert there.probe(days) == here.probe(days)
        assert there.probe(days).n_rows >= 50
    with pytest.raises(OutsideCoverage):
        next(there.batches(DayRange.of(date(2024, 2, 1))))


def test_an_object_that_is_replaced_is_read_anew(both: tuple[FilesSource, FilesSource], parameters: str) -> None:
    _, there = both
    days = DayRange.of(DAYS[0])
    before = there.probe(days)
    path = ObjectPath.of(f"{there.identity['path']}?{parameters}") / "a.csv"
    path.write_bytes((HEADER + lines(DAYS[0]).split("\n", 1)[1]).encode())
    assert there.probe(days).n_rows == before.n_rows - 1


def test_identities_name_no_parameters_and_absent_or_forbidden_objects_are_errors(
    both: tuple[FilesSource, FilesSource], parameters: str, tmp_path: Path
) -> None:
    assert "?" not in str(both[1].identity["path"])
    with pytest.raises(SourceUnavailable, match="there is nothing at s3://bucket/nothing"):
        of(f"s3://{BUCKET}/nothing?{parameters}", tmp_path).coverage()
    with pytest.raises(SourceUnavailable, match="there is nothing at s3://another"):
        of(f"s3://another/a.csv?{parameters}", tmp_path).coverage()
    path = ObjectPath.of(f"{both[1].identity['path']}?{parameters}") / "b.csv.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"b\.csv\.gz cannot be decoded"):
        both[1].coverage()


def test_a_store_that_does_not_answer_is_worth_another_try(tmp_path: Path) -> None:
    gone = "endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    with pytest.raises(SourceUnavailable, match="s3://bucket/a"):
        of(f"s3://{BUCKET}/a?{gone}", tmp_path).coverage()
