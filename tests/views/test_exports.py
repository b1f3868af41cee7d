"""Exported tables hold what was shown, and no spreadsheet computes anything of them."""

import csv
import io
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly_assets.views.exports import ESCAPE, to_csv, to_parquet, unescaped

COMPUTED = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
"""First characters that make spreadsheets compute, full-width forms too."""
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.builds(
    str.__add__, st.sampled_from([*COMPUTED, ESCAPE]), st.text(max_size=5)
)
calm = settings(deadline=None)


def read_back(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))


@calm
@given(st.lists(st.tuples(texts, texts), max_size=8))
def test_every_text_comes_back(rows: list[tuple[str, str]]) -> None:
    table = pa.table({name: pa.array([row[n] for row in rows], pa.string()) for n, name in enumerate("ab")})
    header, *found = read_back(to_csv(table))
    assert header == ["a", "b"]
    assert [tuple(map(unescaped, row)) for row in found] == rows


@calm
@given(
    st.lists(texts, min_size=1, max_size=8),
    st.sampled_from([pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]),
)
def test_no_text_begins_with_what_a_spreadsheet_computes(values: list[str], kind: pa.DataType) -> None:
    table = pa.table({"text": pa.array(values, pa.string()).cast(kind), "n": pa.array([1] * len(values))})
    found = [row[0] for row in read_back(to_csv(table))[1:]]
    assert not any(field.startswith(tuple(COMPUTED)) for field in found)
    assert [unescaped(field) for field in found] == values


@pytest.mark.parametrize("text", ['=HYPERLINK("http://x","y")', "+1", "-1", "@SUM(A1)", "\t=1", "\uff1d1+1", "'quoted"])
def test_formulas_get_an_apostrophe(text: str) -> None:
    (_, (field,)) = read_back(to_csv(pa.table({"a": [text]})))
    assert field == ESCAPE + text


@pytest.mark.parametrize("text", ["a=1", "1-1", "x@y", " =1", "é", "a,b", 'a "b"', "two\nlines"])
def test_other_text_stays_as_it_is(text: str) -> None:
    (_, (field,)) = read_back(to_csv(pa.table({"a": [text]})))
    assert field == text


def test_null_and_the_empty_text_are_told_apart() -> None:
    table = pa.table({"a": pa.array([None, ""], pa.string()), "b": pa.array([1, None], pa.int64())})
    assert to_csv(table) == b'"a","b"\n,1\n"",\n'


def test_negative_numbers_stay_numbers() -> None:
    assert to_csv(pa.table({"a": [-1.5]})) == b'"a"\n-1.5\n'


def test_a_table_without_rows_has_a_header_and_one_without_columns_is_empty() -> None:
    assert to_csv(pa.table({"a": pa.array([], pa.string())})) == b'"a"\n'
    assert to_csv(pa.table({})).strip() == b""


@calm
@given(st.lists(st.tuples(st.none() | texts, st.none() | st.floats(allow_nan=False)), max_size=8))
def test_parquet_holds_the_same_table(rows: list[tuple[str | None, float | None]]) -> None:
    columns = {
        "text": pa.array([text for text, _ in rows], pa.string()),
        "number": pa.array([number for _, number in rows], pa.float64()),
        "moment": pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * len(rows), pa.timestamp("us", "UTC")),
    }
    table = pa.table(columns)
    assert pq.read_table(io.BytesIO(to_parquet(table)), partitioning=None).equals(table)
