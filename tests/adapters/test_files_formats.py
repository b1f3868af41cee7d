"""Files as they come: folders that are columns, dialects of CSV, compressions, times that are counted or local."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.adapters.sources import csv_text
from anomaly_assets.adapters.sources.day_index import DayIndexes
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.domain.border import BorderRules, CleanDay, as_input_table, clean_day
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import SettingsError, SourceError
from anomaly_assets.domain.schema import INPUT_COLUMNS

DAY = date(2024, 1, 1)
HEADER = ",".join(INPUT_COLUMNS)


def opened(path: Path, **arguments: Any) -> FilesSource:
    return FilesSource(path, indexes=DayIndexes(), **arguments)


def cleaned(source: FilesSource, day: date = DAY, **rules: Any) -> CleanDay:
    table = as_input_table(source.batches(DayRange.of(day)))
    return clean_day(table, day, BorderRules(time_zone=source.time_zone, **rules))


def kept(source: FilesSource, column: str, day: date = DAY) -> list[Any]:
    """A column of the kept rows, in order of id."""
    return cleaned(source, day).kept.sort_by("tx_id").column(column).to_pylist()


def written(path: Path, *lines: str, encoding: str = "utf-8", header: str = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join([header, *lines, ""]).encode(encoding))
    return path


def parquet(path: Path, **columns: Any) -> Path:
    """One row of plain values, overruled by ``columns``; None leaves a column out."""
    values = {"tx_id": "t1", "wallet_id": "w1", "tx_completed_at": "2024-01-01", "total_amount": 1.0, "org_name": "o"}
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: [value] for name, value in (values | columns).items() if value is not None}
    pq.write_table(pa.table({n: v[0] if isinstance(v[0], pa.Array) else v for n, v in plain.items()}), path)
    return path


# folders that are columns


@pytest.mark.parametrize(
    ("folder", "value"),
    [
        ("org=Acme", "Acme"),
        ("org=Acme%20%26%20Sons%2F%C3%A9", "Acme & Sons/é"),
        ("org=a=b", "a=b"),
        ("org=__HIVE_DEFAULT_PARTITION__", None),
        ("year=2024/org=Acme/month=01/day=01", "Acme"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_that_the_file_lacks_stands_in_its_folders(
    tmp_path: Path, folder: str, value: str | None, kind: str
) -> None:
    if kind == "csv":
        header = "tx_id,wallet_id,tx_completed_at,total_amount"
        written(tmp_path / folder / "part-0.csv", "t1,w1,2024-01-01,1", header=header)
    else:
        parquet(tmp_path / folder / "part-0.parquet", org_name=None)
    assert kept(opened(tmp_path, columns={"org_name": "org"}), "org_name") == [value]


def test_folders_that_no_mapping_names_are_ignored(tmp_path: Path) -> None:
    written(tmp_path / "date=1999-01-01" / "x=%ff" / "part.csv", "t1,w1,2024-01-01,1,o")
    assert kept(opened(tmp_path), "org_name") == ["o"]


def test_a_file_with_the_column_is_believed_and_not_its_folder(tmp_path: Path) -> None:
    written(tmp_path / "org_name=folder" / "a.csv", "t1,w1,2024-01-01,1,file")
    assert kept(opened(tmp_path), "org_name") == ["file"]


def test_a_wallet_or_a_day_may_be_a_folder(tmp_path: Path) -> None:
    parquet(tmp_path / "wallet=007" / "date=2024-01-01" / "a.parquet", wallet_id=None, tx_completed_at=None)
    source = opened(tmp_path, columns={"wallet_id": "wallet", "tx_completed_at": "date"})
    assert (kept(source, "wallet_id"), kept(source, "tx_completed_at")) == (["007"], [datetime(2024, 1, 1, tzinfo=UTC)])


def test_a_folder_that_is_no_text_is_named_when_its_column_is_wanted(tmp_path: Path) -> None:
    path = written(tmp_path / "org_name=%ff" / "a.csv", "t1,w1,2024-01-01,1,o")
    with pytest.raises(SourceError, match="its folders give no values") as failure:
        opened(tmp_path).coverage()
    assert str(path) in str(failure.value)


def test_what_arrow_partitions_comes_back(tmp_path: Path) -> None:
    rows = [(f"t{n}", f"w {n % 3}/é", f"2024-01-0{1 + n % 2}", float(n), [None, "o=1"][n % 2]) for n in range(12)]
    table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(INPUT_COLUMNS)})
    ds.write_dataset(
        table, tmp_path, format="parquet", partitioning=["wallet_id", "org_name"], partitioning_flavor="hive"
    )
    source = opened(tmp_path)
    found = [row for day in (1, 2) for row in cleaned(source, date(2024, 1, day)).kept.to_pylist()]
    expected = sorted((row[0], row[1], row[4]) for row in rows)
    assert sorted((row["tx_id"], row["wallet_id"], row["org_name"]) for row in found) == expected


# dialects of CSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_from_the_header_or_from_the_settings(tmp_path: Path, delimiter: str) -> None:
    header = HEADER.replace(",", delimiter)
    path = written(tmp_path / "x.csv", 't1,w1,2024-01-01,1,"a,b;c|d"'.replace(",", delimiter, 4), header=header)
    for setting in (delimiter, "auto"):
        assert kept(opened(path, delimiter=setting), "org_name") == ["a,b;c|d"]


def test_a_header_that_fits_no_delimiter_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", "t1", header="a:b:c")
    with pytest.raises(SourceError, match="cannot be told from the header, which is a:b:c"):
        opened(path, delimiter="auto").coverage()


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252", "cp437", "utf-32"]
)
@pytest.mark.parametrize("block", [5, 1 << 20])
def test_text_is_read_in_its_encoding(
    tmp_path: Path, encoding: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_text, "BLOCK_BYTES", block)
    path = written(tmp_path / "x.csv", 't1,w1,2024-01-01,1,"Café\nübel"', encoding=encoding)
    day = cleaned(opened(path, encoding="utf-8" if encoding == "utf-8-sig" else encoding))
    assert day.ledger.n_in == 1
    raw = as_input_table(opened(path, encoding=encoding).batches(DayRange.of(DAY))).column("org_name")
    assert raw[0].as_py().decode() == "Café\nübel"


@pytest.mark.parametrize("block", [7, 1 << 20])
def test_a_byte_that_does_not_decode_is_named_with_its_line(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_text, "BLOCK_BYTES", block)
    path = written(tmp_path / "x.csv", "t1,w1,2024-01-01,1,o", "t2,w1,2024-01-01,1,?")
    content = path.read_bytes().replace(b"?", b"\x81")
    path.write_bytes(content)
    with pytest.raises(
        SourceError, match=rf"byte {content.index(0x81)} \(from 0\), in line 3, is no cp1252"
    ) as failure:
        opened(path, encoding="cp1252").coverage()
    assert str(path) in str(failure.value)


def test_utf16_is_not_taken_for_utf8_and_needs_its_mark(tmp_path: Path) -> None:
    marked = written(tmp_path / "a.csv", "t1,w1,2024-01-01,1,o", encoding="utf-16")
    with pytest.raises(SourceError, match=r"set source\.files\.encoding: utf-16"):
        opened(marked).coverage()
    bare = written(tmp_path / "b.csv", "t1,w1,2024-01-01,1,o", encoding="utf-16-be")
    with pytest.raises(SourceError, match="utf-16-le, or utf-16-be"):
        opened(bare, encoding="utf-16").coverage()


@pytest.mark.parametrize("name", ["utf-9", "base64", "hex", ""])
def test_what_is_no_text_encoding_is_a_settings_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="a text encoding such as utf-8"):
        opened(tmp_path, encoding=name)


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "amount"),
    [
        ("1234,56", ",", "", 1234.56),
        ("1.234.567,5", ",", ".", 1234567.5),
        ("1.234", ",", ".", 1234.0),
        ("-0,5", ",", ".", -0.5),
        (",5", ",", "", 0.5),
        ("12", ",", ".", 12.0),
        ("1 234,5", ",", " ", 1234.5),
        ("1\u00a0234,5", ",", " ", 1234.5),
        ("1\u202f234,5", ",", " ", 1234.5),
        ("1'234.5", ".", "'", 1234.5),
        ("1\u2019234.5", ".", "'", 1234.5),
        ("1,234.5", ".", ",", 1234.5),
        ("1,5e3", ",", "", 1500.0),
        ("0,1", ",", "", 0.1),
        ("1234.5", ",", "", None),
        ("1.234", ",", "", None),
        ("1.5", ",", ".", None),
        ("12.34.567", ",", ".", None),
        ("1,234", ".", "", None),
        ("1,23", ".", ",", None),
        ("1,2,3", ",", "", None),
        ("1.234,5,6", ",", ".", None),
        ("nil", ",", ".", None),
    ],
)
def test_amounts_are_read_by_their_marks_or_refused(
    tmp_path: Path, text: str, decimal: str, thousands: str, amount: float | None
) -> None:
    """What does not fit the marks is never read as another number."""
    path = written(tmp_path / "x.csv", f't1,w1,2024-01-01,"{text}",o', "t2,w1,2024-01-01,7,o")
    day = cleaned(opened(path, decimal=decimal, thousands=thousands), allow_negative=True)
    assert day.kept.sort_by("tx_id").column("total_amount").to_pylist() == ([7.0] if amount is None else [amount, 7.0])
    assert day.ledger.by_reason == ({"amount_not_a_number": 1} if amount is None else {})
    if amount is None:
        assert day.quarantine.column("total_amount")[0].as_py().startswith(text)


@given(st.decimals(-(10**12), 10**12, places=2), st.sampled_from([(",", "."), (",", " "), (".", ","), (".", "_")]))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_amount_comes_back_to_the_bit(tmp_path: Path, amount: Any, marks: tuple[str, str]) -> None:
    decimal, thousands = marks
    text = f"{amount:,.2f}".translate(str.maketrans(".,", decimal + thousands))
    path = written(tmp_path / "x.csv", f't1,w1,2024-01-01,"{text}",o')
    day = cleaned(opened(path, decimal=decimal, thousands=thousands), allow_negative=True)
    assert day.kept.column("total_amount").to_pylist() == [float(amount)]


def test_one_mark_cannot_be_both(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="are both ','"):
        opened(tmp_path, decimal=",", thousands=",")


def test_amounts_of_parquet_files_beside_csv_files_are_what_they_are(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", total_amount=1.5)
    written(tmp_path / "b.csv", 't2,w1,2024-01-01,"2,5",o')
    assert kept(opened(tmp_path, decimal=","), "total_amount") == [1.5, 2.5]


# compressions


def with_arrow(codec: str) -> Callable[[bytes], bytes]:
    def compress(content: bytes) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as stream:
            stream.write(content)
        compressed: bytes = sink.getvalue().to_pybytes()
        return compressed

    return compress


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": with_arrow("zstd"),
    ".lz4": with_arrow("lz4"),
}


def compressed(tmp_path: Path, suffix: str) -> tuple[Path, bytes]:
    rows = [f"t{n},w{n % 9},2024-01-01T00:00:00.{n:06d}Z,{n},o" for n in range(20_000)]
    content = COMPRESSIONS[suffix](written(tmp_path / "plain", *rows).read_bytes())
    path = tmp_path / f"x.csv{suffix}"
    path.write_bytes(content)
    return path, content


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_compressed_files_deliver_all_their_rows(tmp_path: Path, suffix: str) -> None:
    path, content = compressed(tmp_path, suffix)
    assert opened(path).probe(DayRange.of(DAY)).n_rows == 20_000
    other = COMPRESSIONS[suffix](b"x1,w,2024-01-01,1,o\n")
    path.write_bytes(content + other)
    assert opened(path).probe(DayRange.of(DAY)).n_rows == 20_001


@pytest.mark.parametrize("suffix", COMPRESSIONS)
@pytest.mark.parametrize("lost", [1, 4, 12, 1000, "half"])
def test_a_truncated_file_is_an_error_and_never_a_shorter_day(tmp_path: Path, suffix: str, lost: int | str) -> None:
    path, content = compressed(tmp_path, suffix)
    path.write_bytes(content[: len(content) // 2 if isinstance(lost, str) else -lost])
    with pytest.raises(SourceError, match="cannot be decoded") as failure:
        opened(path).coverage()
    assert str(path) in str(failure.value)


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_bytes_after_the_end_and_empty_files_are_errors(tmp_path: Path, suffix: str) -> None:
    path, content = compressed(tmp_path, suffix)
    path.write_bytes(content + b"garbage after the end")
    with pytest.raises(SourceError, match="cannot be decoded"):
        opened(path).coverage()
    path.write_bytes(b"")
    with pytest.raises(SourceError, match="cannot be decoded"):
        opened(path).coverage()


# times that are counted


MOMENT = datetime(2024, 1, 1, 23, 59, 59, 999_999, tzinfo=UTC)
MICROSECONDS = 1_704_153_599_999_999


@pytest.mark.parametrize(("unit", "factor"), [("s", 10**6), ("ms", 10**3), ("us", 1)])
@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.decimal128(20, 0), pa.string(), "csv"])
def test_counted_times_are_read_exactly(tmp_path: Path, unit: Any, factor: int, kind: Any) -> None:
    count = MICROSECONDS // factor
    if kind == "csv":
        path = written(tmp_path / "x.csv", f"t1,w1,{count},1,o")
    else:
        value = str(count) if kind == pa.string() else count
        path = parquet(tmp_path / "x.parquet", tx_completed_at=pa.array([value]).cast(kind))
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=count * factor)
    source = opened(path, epoch_unit=unit, time_zone="Asia/Tokyo")
    assert kept(source, "tx_completed_at") == [expected]


@pytest.mark.parametrize("text", [str(MICROSECONDS * 1000 + 999), f"+{MICROSECONDS * 1000}"])
def test_nanoseconds_are_cut_towards_the_past(tmp_path: Path, text: str) -> None:
    assert kept(opened(written(tmp_path / "x.csv", f"t1,w1,{text},1,o"), epoch_unit="ns"), "tx_completed_at") == [
        MOMENT
    ]
    typed = parquet(tmp_path / "x.parquet", tx_completed_at=pa.array([int(text)]))
    assert kept(opened(typed, epoch_unit="ns"), "tx_completed_at") == [MOMENT]


def test_times_before_1970_and_iso_text_beside_counts_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", "t1,w1,-1,1,o", "t2,w1,1969-12-31T01:00:00Z,1,o", "t3,w1,,1,o")
    source = opened(path, epoch_unit="ms", first_day=date(1969, 12, 31))
    day = cleaned(source, date(1969, 12, 31))
    assert day.kept.column("tx_completed_at").to_pylist() == [
        datetime(1969, 12, 31, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    ]  # fmt: skip
    assert day.ledger.by_reason == {"missing_time": 1}


def test_parts_with_and_without_counts_are_one_column(tmp_path: Path) -> None:
    """Text of a parquet file that is read, and put in order, in several parts."""
    n_rows = 150_000
    texts = [
        f"2024-01-{1 + n % 9:02d}" if n < n_rows - 9 else str(1_704_067_200 + n % 9 * 86_400) for n in range(n_rows)
    ]
    plain = {name: pa.array(["1"] * n_rows) for name in INPUT_COLUMNS}
    pq.write_table(pa.table(plain | {"tx_completed_at": pa.array(texts)}), tmp_path / "x.parquet")
    source = opened(tmp_path / "x.parquet", epoch_unit="s")
    found = [source.probe(DayRange.of(date(2024, 1, day))).n_rows for day in range(1, 10)]
    assert sum(found) == n_rows
    assert min(found) > 16_000


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("count", ["9223372036854775808", "99999999999999999999", "1.5", "-9999999999999999999"])
def test_a_count_that_no_calendar_holds_is_quarantined_as_it_stands(tmp_path: Path, unit: Any, count: str) -> None:
    path = written(tmp_path / "x.csv", f"t1,w1,{count},1,o", "t2,w1,2024-01-01,1,o")
    day = cleaned(opened(path, epoch_unit=unit))
    assert day.ledger.by_reason == {"invalid_time": 1}
    assert day.quarantine.column("tx_completed_at").to_pylist() == [count]


@given(st.integers(1 - 2**63, 2**63 - 1), st.sampled_from(["s", "ms", "us", "ns"]))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_text_and_integers_are_the_same_instants(tmp_path: Path, count: int, unit: Any) -> None:
    text = written(tmp_path / "x.csv", f"t1,w1,{count},1,o", "t2,w1,2024-01-01,1,o")
    typed = parquet(tmp_path / "x.parquet", tx_completed_at=pa.array([count]))
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    seconds = count // per_second
    if not -62_135_596_800 <= seconds <= 253_402_300_799:
        assert opened(text, epoch_unit=unit).coverage().first == DAY
        with pytest.raises(SourceError, match="has a readable time"):
            opened(typed, epoch_unit=unit).coverage()
        return
    moment = datetime(1, 1, 1, tzinfo=UTC) + timedelta(
        seconds=seconds + 62_135_596_800, microseconds=(count % per_second) * 10**6 // per_second
    )
    if moment.date() != date.max:
        assert kept(opened(typed, epoch_unit=unit), "tx_completed_at", moment.date()) == [moment]
        both = opened(text, epoch_unit=unit)
        times = [
            row["tx_completed_at"] for row in cleaned(both, moment.date()).kept.to_pylist() if row["tx_id"] == "t1"
        ]
        assert times == [moment]


@pytest.mark.parametrize(("count", "unit"), [(1_704_067_200, "s"), (1_704_067_200_000, "ms"), (MICROSECONDS, "us")])
def test_numbers_without_a_unit_are_an_error_that_names_the_setting(tmp_path: Path, count: int, unit: str) -> None:
    for path in (
        written(tmp_path / "x.csv", f"t1,w1,{count},1,o"),
        parquet(tmp_path / "x.parquet", tx_completed_at=pa.array([count])),
        parquet(tmp_path / "y.parquet", tx_completed_at=pa.array([str(count)])),
    ):
        with pytest.raises(SourceError, match=r"source\.files\.epoch_unit") as failure:
            opened(path).coverage()
        assert f"these look like {unit}" in str(failure.value)
        assert str(path) in str(failure.value)


@pytest.mark.parametrize("values", [pa.array([1.5e9]), pa.array(["1.5"]).cast(pa.decimal128(10, 3))])
def test_times_with_fractions_are_refused(tmp_path: Path, values: pa.Array) -> None:
    path = parquet(tmp_path / "x.parquet", tx_completed_at=values)
    with pytest.raises(SourceError, match="do not survive floating point"):
        opened(path, epoch_unit="s").coverage()


def test_the_unit_is_part_of_what_makes_the_source_this_one(tmp_path: Path) -> None:
    assert "epoch_unit" not in opened(tmp_path).identity
    assert opened(tmp_path, epoch_unit="ms").identity["epoch_unit"] == "ms"


# local times


ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"]


@given(
    st.lists(st.datetimes(datetime(2018, 1, 1), datetime(2019, 12, 31)), min_size=1, max_size=12),  # noqa: DTZ001
    st.sampled_from(ZONES),
    st.sampled_from(["earlier", "later"]),
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_local_times_lie_on_the_days_that_zoneinfo_says(
    tmp_path: Path, moments: list[datetime], zone: str, rule: Any
) -> None:
    """Times in a gap lie on no day and come with the first; ambiguous ones follow the rule."""
    expected: dict[str, date | None] = {}
    for number, moment in enumerate(moments):
        local = moment.replace(tzinfo=ZoneInfo(zone), fold=int(rule == "later"))
        back = local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        expected[f"t{number}"] = local.astimezone(UTC).date() if back == moment else None
    days = {day for day in expected.values() if day}
    csv = written(tmp_path / "x.csv", *(f"t{n},w,{moment.isoformat()},1,o" for n, moment in enumerate(moments)))
    columns = {name: pa.array([name] * len(moments)) for name in INPUT_COLUMNS}
    columns |= {"tx_id": pa.array(list(expected)), "tx_completed_at": pa.array(moments, pa.timestamp("us"))}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet", row_group_size=4)
    for path in (csv, tmp_path / "x.parquet"):
        source = opened(path, time_zone=zone, ambiguous_times=rule)
        if not days:
            with pytest.raises(SourceError, match="has a readable time"):
                source.coverage()
            continue
        for day in days:
            delivered = as_input_table(source.batches(DayRange.of(day))).column("tx_id").cast(pa.string()).to_pylist()
            wanted = {day, None} if day == min(days) else {day}
            assert sorted(delivered) == sorted(name for name, of in expected.items() if of in wanted)
