"""The files source on real files: formats, days, faults."""

import csv
import gzip
import os
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.adapters.sources.base import Coverage, TransactionSource
from anomaly_assets.adapters.sources.day_index import DayIndexes
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.domain.border import BorderRules, CleanDay, as_input_table, clean_day
from anomaly_assets.domain.days import ONE_DAY, DayRange
from anomaly_assets.domain.errors import OutsideCoverage, SettingsError, SourceError, SourceUnavailable
from anomaly_assets.domain.schema import INPUT_COLUMNS

SPARKOV = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "sparkov_2019.parquet"
FIRST = date(2024, 2, 28)

Row = tuple[str, str, Any, Any, str | None]

ROWS: list[Row] = [
    ("t1", "w1", "2024-02-28T00:00:00Z", "1.50", "Acme"),
    ("t2", "w2", "2024-02-28T23:59:59.999999Z", "2.50", None),
    ("t3", "w1", "2024-02-29T12:00:00Z", "3.50", "Acme"),
    ("t4", "w1", "2024-03-02T00:00:00Z", "4.50", "Acme"),
]


def write_csv(path: Path, rows: list[Row], header: tuple[str, ...] = INPUT_COLUMNS, delimiter: str = ",") -> Path:
    """Rows as a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_parquet(path: Path, rows: list[Row], **types: pa.DataType) -> Path:
    """Rows as a parquet file, text unless ``types`` says otherwise; times as datetimes where they are no text."""
    kinds = dict.fromkeys(INPUT_COLUMNS, pa.string()) | types
    columns = {name: pa.array([row[place] for row in rows], kinds[name]) for place, name in enumerate(INPUT_COLUMNS)}
    pq.write_table(pa.table(columns), path)
    return path


def source(path: Path, **arguments: Any) -> FilesSource:
    """A source that shares no cache with other tests."""
    return FilesSource(path, indexes=DayIndexes(), **arguments)


def ids(files: FilesSource, days: DayRange) -> list[str]:
    """The ids delivered for the days, sorted."""
    table = as_input_table(files.batches(days))
    return sorted(str(value) for value in table.column("tx_id").cast(pa.string()).to_pylist())


def cleaned(files: FilesSource, day: date) -> CleanDay:
    """The day behind the border, under the zone the source declares."""
    table = as_input_table(files.batches(DayRange.of(day)))
    return clean_day(table, day, BorderRules(time_zone=files.time_zone))


def covered(files: FilesSource) -> DayRange:
    """All covered days."""
    coverage = files.coverage()
    assert coverage.end is not None
    return DayRange(coverage.first, coverage.end)


def test_it_is_a_source_of_transactions(tmp_path: Path) -> None:
    files: TransactionSource = source(write_csv(tmp_path / "x.csv", ROWS))
    assert files.coverage() == Coverage(FIRST, date(2024, 3, 3))


@pytest.mark.parametrize("suffix", [".csv", ".CSV", ".csv.gz", ".parquet", ".pq"])
def test_each_format_delivers_the_rows_of_the_asked_days(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    if suffix == ".csv.gz":
        path.write_bytes(gzip.compress(write_csv(tmp_path / "plain", ROWS).read_bytes()))
    else:
        (write_csv if "csv" in suffix.lower() else write_parquet)(path, ROWS)
    files = source(path)
    assert ids(files, DayRange.of(FIRST)) == ["t1", "t2"]
    assert ids(files, DayRange(FIRST + ONE_DAY, date(2024, 3, 3))) == ["t3", "t4"]
    assert cleaned(files, FIRST).kept.column("total_amount").to_pylist() == [1.5, 2.5]


def test_a_covered_day_without_rows_is_an_empty_day(tmp_path: Path) -> None:
    files = source(write_csv(tmp_path / "x.csv", ROWS))
    day = cleaned(files, date(2024, 3, 1))
    assert (day.ledger.n_in, day.ledger.balances) == (0, True)
    assert files.probe(DayRange.of(date(2024, 3, 1))).n_rows == 0


@pytest.mark.parametrize("day", [FIRST - ONE_DAY, date(2024, 3, 3)])
def test_a_day_that_is_not_covered_is_an_error_that_names_the_covered_ones(tmp_path: Path, day: date) -> None:
    files = source(write_csv(tmp_path / "x.csv", ROWS))
    with pytest.raises(OutsideCoverage, match="2024-02-28 to 2024-03-02"):
        files.batches(DayRange.of(day))
    with pytest.raises(OutsideCoverage):
        files.probe(DayRange(FIRST, date(2024, 3, 4)))


def test_csv_values_reach_the_border_as_they_stand_in_the_file(tmp_path: Path) -> None:
    rows: list[Row] = [("007", "1e3", "2024-02-28", "1.0", "true"), ("NA", "null", "2024-02-28", "1", "2024-01-01")]
    kept = cleaned(source(write_csv(tmp_path / "x.csv", rows)), FIRST).kept
    assert kept.select(["tx_id", "wallet_id", "org_name"]).to_pylist() == [
        {"tx_id": "007", "wallet_id": "1e3", "org_name": "true"},
        {"tx_id": "NA", "wallet_id": "null", "org_name": "2024-01-01"},
    ]


def test_bytes_that_are_no_text_cost_one_row_and_not_the_file(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", ROWS)
    path.write_bytes(path.read_bytes().replace(b"t1", b"t\xff"))
    day = cleaned(source(path), FIRST)
    assert day.ledger.by_reason == {"tx_id_not_text": 1}
    assert day.kept.column("tx_id").to_pylist() == ["t2"]


def test_columns_are_mapped_by_name_and_others_ignored(tmp_path: Path) -> None:
    header = ("ID", "Card", "When", "Amount", "Merchant", "Label")
    path = write_csv(tmp_path / "x.csv", [(*row, "fraud") for row in ROWS], header, ";")  # type: ignore[misc]
    names = dict(zip(INPUT_COLUMNS, header, strict=False))
    files = source(path, columns=names, delimiter=";")
    assert ids(files, DayRange.of(FIRST)) == ["t1", "t2"]
    assert files.identity == {"kind": "files", "path": str(path), "columns": names, "time_zone": "UTC"}


def test_a_mapping_that_says_nothing_new_is_the_same_source(tmp_path: Path) -> None:
    spelled_out = source(tmp_path, columns={"tx_id": "tx_id"})
    assert spelled_out.identity == source(tmp_path).identity
    assert spelled_out.identity != source(tmp_path, columns={"tx_id": "id"}).identity
    assert spelled_out.identity != source(tmp_path, time_zone="Asia/Tokyo").identity


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_a_missing_column_is_named_with_what_was_found_and_the_nearest(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path / ("x.csv" if write is write_csv else "x.parquet"), ROWS)
    with pytest.raises(SourceError) as failure:
        source(path, columns={"org_name": "Org_Nam"}).coverage()
    message = str(failure.value)
    assert "Org_Nam is missing (the nearest is org_name)" in message
    assert "has the columns tx_id, wallet_id, tx_completed_at, total_amount, org_name" in message
    assert "each of tx_id, wallet_id, tx_completed_at, total_amount, Org_Nam once" in message


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", [(*ROWS[0], "9")], (*INPUT_COLUMNS, "tx_id"))  # type: ignore[list-item]
    with pytest.raises(SourceError, match="tx_id is there 2 times"):
        source(path).coverage()


def test_an_unknown_canonical_column_or_zone_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the nearest is wallet_id"):
        source(tmp_path, columns={"walet_id": "x"})
    with pytest.raises(SettingsError, match="the nearest known zone is Europe/Paris"):
        source(tmp_path, time_zone="Europe/Pariss")


def test_a_folder_is_read_recursively_and_only_its_data_files(tmp_path: Path) -> None:
    (tmp_path / "2024" / "03").mkdir(parents=True)
    write_csv(tmp_path / "a.csv", ROWS[:1])
    write_parquet(tmp_path / "2024" / "b.parquet", ROWS[1:2])
    write_csv(tmp_path / "2024" / "03" / "c.csv", ROWS[2:])
    for ignored in (".hidden.csv", "_temporary.csv", "notes.txt", "a.csv.tmp", "b.parquet~", "_SUCCESS"):
        (tmp_path / ignored).write_text("no data")
    (tmp_path / "_staging").mkdir()
    write_csv(tmp_path / "_staging" / "d.csv", [("t9", "w", "2024-02-28", "1", None)])
    files = source(tmp_path)
    assert ids(files, covered(files)) == ["t1", "t2", "t3", "t4"]


def test_a_folder_without_data_files_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no data")
    with pytest.raises(SourceError, match="holds no data files"):
        source(tmp_path).coverage()


def test_a_file_of_another_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.xlsx").write_text("no data")
    with pytest.raises(SourceError, match="is no data file"):
        source(tmp_path / "x.xlsx").coverage()


def test_files_of_a_folder_may_hold_a_column_in_different_types(tmp_path: Path) -> None:
    moment = datetime(2024, 2, 28, 23, 59, 59, 999_999)  # noqa: DTZ001 (the declared zone applies)
    write_csv(tmp_path / "a.csv", [("1", "w", "2024-02-28T23:59:59.999999", "0.1", "")])
    write_parquet(
        tmp_path / "b.parquet", [(2, "w", moment, 0.1, None)],  # type: ignore[list-item]
        tx_id=pa.int64(), tx_completed_at=pa.timestamp("ns"), total_amount=pa.float64(),
    )  # fmt: skip
    kept = cleaned(source(tmp_path), FIRST).kept
    assert kept.column("tx_id").to_pylist() == ["1", "2"]
    assert kept.column("tx_completed_at").to_pylist() == [moment.replace(tzinfo=UTC)] * 2
    assert kept.column("total_amount").to_pylist() == [0.1, 0.1]


def test_local_times_are_assigned_to_utc_days(tmp_path: Path) -> None:
    local = [
        "2024-03-09T18:59:59.999999",
        "2024-03-09T19:00:00",
        "2024-03-10T01:59:59",
        "2024-03-10T03:00:00",
        "2024-03-10T19:59:59.999999",
        "2024-03-10T20:00:00",
    ]
    rows: list[Row] = [(str(number), "w", text, "1", None) for number, text in enumerate(local)]
    files = source(write_csv(tmp_path / "x.csv", rows), time_zone="America/New_York")
    assert covered(files) == DayRange(date(2024, 3, 9), date(2024, 3, 12))
    assert ids(files, DayRange.of(date(2024, 3, 9))) == ["0"]
    assert ids(files, DayRange.of(date(2024, 3, 10))) == ["1", "2", "3", "4"]
    assert ids(files, DayRange.of(date(2024, 3, 11))) == ["5"]


@pytest.mark.parametrize(("rule", "day"), [("earlier", date(2024, 10, 26)), ("later", date(2024, 10, 27))])
def test_an_ambiguous_time_is_delivered_on_the_day_the_border_gives_it(tmp_path: Path, rule: Any, day: date) -> None:
    zone = "Europe/Chisinau"  # its clocks showed 02:30 twice, at 23:30 and 00:30 UTC
    path = write_csv(tmp_path / "x.csv", [("1", "w", "2024-10-27T02:30:00", "1", None)])
    files = source(path, time_zone=zone, ambiguous_times=rule)
    assert covered(files) == DayRange.of(day)
    rules = BorderRules(time_zone=zone, ambiguous_times=rule)
    assert clean_day(as_input_table(files.batches(DayRange.of(day))), day, rules).ledger.n_kept == 1


def test_rows_without_a_day_end_in_quarantine_on_the_first_covered_day(tmp_path: Path) -> None:
    lost: list[Row] = [
        ("t5", "w", "", "1", None),
        ("t6", "w", "soon", "1", None),
        ("t7", "w", "2024-03-31T02:30:00", "1", None),
    ]
    files = source(write_csv(tmp_path / "x.csv", [*lost, *ROWS]), time_zone="Europe/Berlin")
    day = cleaned(files, FIRST)
    assert day.ledger.by_reason == {"missing_time": 1, "invalid_time": 1, "nonexistent_local_time": 1}
    assert files.probe(DayRange.of(FIRST)).n_rows == 5
    assert cleaned(files, FIRST + ONE_DAY).ledger.n_quarantined == 0


def test_a_file_in_which_no_time_can_be_read_is_an_error(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", [("t", "w", "soon", "1", None)])
    with pytest.raises(SourceError, match="has a readable time"):
        source(path).coverage()


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz"])
def test_a_truncated_file_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    if suffix == ".parquet":
        write_parquet(path, ROWS)
    else:
        plain = write_csv(tmp_path / "plain", ROWS).read_bytes()
        path.write_bytes(gzip.compress(plain) if suffix == ".csv.gz" else plain)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match="cannot be decoded") as failure:
        source(tmp_path).coverage()
    assert str(path) in str(failure.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\x01", b"tx_id,wallet_id,tx_completed_at,total_amount,org_name\nt1,w1\n"],
    ids=["empty", "binary", "ragged"],
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_corrupt_file_is_named_even_beside_good_ones(tmp_path: Path, suffix: str, content: bytes) -> None:
    write_csv(tmp_path / "a.csv", ROWS)
    bad = tmp_path / f"bad{suffix}"
    bad.write_bytes(content)
    with pytest.raises(SourceError) as failure:
        source(tmp_path).coverage()
    assert str(bad) in str(failure.value)


@pytest.mark.parametrize("note", ['"never closed', '"closed late'])
def test_a_quote_that_swallows_rows_is_refused_even_in_an_ignored_column(tmp_path: Path, note: str) -> None:
    header = (*INPUT_COLUMNS, "note")
    lines = [",".join(header), f"t1,w1,2024-02-28,1,,{note}", "t2,w1,2024-02-28,2,,plain", "t3,w1,2024-02-28,3,,x"]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(lines) + ("" if "never" in note else '"tail') + "\n")
    with pytest.raises(SourceError, match="cannot be decoded"):
        source(path).coverage()


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8"), max_size=6), st.sampled_from(["", "a\nb", 'say "x"', "\r\n"])),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_every_value_a_csv_writer_writes_is_delivered(
    tmp_path: Path, cells: list[tuple[str, str]], quoting: Any
) -> None:
    path = tmp_path / "x.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=quoting)
        writer.writerow((*INPUT_COLUMNS, "note"))
        writer.writerows((tx_id, "w", "2024-02-28", "1", "o", note) for tx_id, note in cells)
    table = as_input_table(source(path).batches(DayRange.of(FIRST)))
    assert table.column("tx_id").to_pylist() == [tx_id.encode() for tx_id, _ in cells]


def test_a_path_where_nothing_is_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="there is nothing at"):
        source(tmp_path / "missing.csv").coverage()


def test_a_file_that_vanishes_is_no_empty_day(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", ROWS)
    files = source(path)
    rows = files.batches(DayRange.of(FIRST))
    path.unlink()
    with pytest.raises(SourceUnavailable):
        list(rows)
    with pytest.raises(SourceUnavailable):
        files.probe(DayRange.of(FIRST))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", ROWS)
    path.chmod(0)
    with pytest.raises(SourceError, match="may not be read"):
        source(path).coverage()


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", ROWS)
    files = source(path)
    before = files.probe(DayRange.of(FIRST))
    write_csv(path, [*ROWS, ("t5", "w3", "2024-02-28T05:00:00Z", "9", None)])
    after = files.probe(DayRange.of(FIRST))
    assert (before.n_rows, after.n_rows) == (2, 3)
    assert ids(files, DayRange.of(FIRST)) == ["t1", "t2", "t5"]


def test_a_file_that_is_written_while_it_is_read_is_not_believed(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", ROWS * 20_000)
    touched, done = threading.Event(), threading.Event()

    def keep_writing() -> None:
        while not done.is_set():
            os.utime(path, ns=(time.time_ns(), time.time_ns()))
            touched.set()

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        touched.wait()
        with pytest.raises(SourceUnavailable, match="changed while it was read"):
            source(path).coverage()
    finally:
        done.set()
        writer.join()
    assert ids(source(path), DayRange.of(date(2024, 2, 29))) == ["t3"] * 20_000


def test_the_fingerprint_does_not_depend_on_the_order_of_rows_or_files(tmp_path: Path) -> None:
    whole = source(write_csv(tmp_path / "whole.csv", ROWS))
    (tmp_path / "parts").mkdir()
    for name, row in zip("dcba", ROWS, strict=True):
        write_csv(tmp_path / "parts" / f"{name}.csv", [row])
    days = covered(whole)
    assert whole.probe(days) == source(tmp_path / "parts").probe(days)


@pytest.mark.parametrize("place", range(5))
def test_the_fingerprint_changes_with_any_value(tmp_path: Path, place: int) -> None:
    changed = list(ROWS[0])
    changed[place] = "2024-02-28T00:00:01Z" if place == 2 else "8"
    rows: list[Row] = [tuple(changed), *ROWS[1:]]
    before, after = (source(write_csv(tmp_path / name, rows)) for name, rows in (("a.csv", ROWS), ("b.csv", rows)))
    days = DayRange.of(FIRST)
    assert before.probe(days).fingerprint != after.probe(days).fingerprint
    later = DayRange.of(FIRST + ONE_DAY)
    assert before.probe(later) == after.probe(later)


def test_a_row_that_comes_twice_changes_the_fingerprint(tmp_path: Path) -> None:
    once = source(write_csv(tmp_path / "a.csv", ROWS)).probe(DayRange.of(FIRST))
    twice = source(write_csv(tmp_path / "b.csv", [*ROWS, ROWS[0]])).probe(DayRange.of(FIRST))
    assert (once.n_rows, twice.n_rows) == (2, 3)
    assert once.fingerprint != twice.fingerprint


# around the new year, or around a leap day
@given(
    st.sampled_from([datetime(2023, 12, 29), datetime(2024, 2, 26)]).flatmap(  # noqa: DTZ001
        lambda first: st.lists(st.datetimes(first, first + timedelta(days=6)), min_size=1, max_size=20)
    ),
    st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "Australia/Lord_Howe"]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_every_row_is_delivered_on_exactly_the_day_the_border_accepts_it(
    tmp_path: Path, moments: list[datetime], zone: str
) -> None:
    rows: list[Row] = [(str(number), "w", moment.isoformat(), "1", None) for number, moment in enumerate(moments)]
    files = source(write_csv(tmp_path / "x.csv", rows), time_zone=zone)
    days = [cleaned(files, day).ledger for day in covered(files)]
    assert sum(ledger.n_in for ledger in days) == sum(ledger.n_kept for ledger in days) == len(rows)
    assert days[0].n_kept > 0
    assert days[-1].n_kept > 0


@pytest.mark.sparkov
def test_all_third_party_transactions_are_delivered_and_kept() -> None:
    if not SPARKOV.exists():
        pytest.skip(f"{SPARKOV} is not on this machine")
    files = FilesSource(SPARKOV)
    assert covered(files) == DayRange(date(2019, 1, 1), date(2020, 1, 1))
    ledgers = [cleaned(files, day).ledger for day in covered(files)]
    assert all(ledger.balances for ledger in ledgers)
    assert sum(ledger.n_in for ledger in ledgers) == sum(ledger.n_kept for ledger in ledgers) == 344_224
    fortnight = DayRange(date(2019, 7, 1), date(2019, 7, 1) + timedelta(days=14))
    assert files.probe(fortnight).n_rows == 14_706


def test_rows_without_a_day_come_with_the_first_day_that_will_be_asked_for(tmp_path: Path) -> None:
    """A home that starts later than the file still gets them, once."""
    path = tmp_path / "rows.csv"
    lines = ["a,w,2024-01-01T10:00:00Z,1,", "b,w,2024-01-02T10:00:00Z,1,", "c,w,2024-01-03T10:00:00Z,1,", "d,w,soon,1,"]
    path.write_text("tx_id,wallet_id,tx_completed_at,total_amount,org_name\n" + "\n".join(lines))
    source = FilesSource(path, first_day=date(2024, 1, 2))
    delivered = {}
    for day in (2, 3):
        table = as_input_table(source.batches(DayRange.of(date(2024, 1, day))))
        delivered[day] = sorted(table.column("tx_id").cast("string").to_pylist())
    assert delivered == {2: ["b", "d"], 3: ["c"]}
