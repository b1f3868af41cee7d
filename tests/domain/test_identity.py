"""Equal content has equal identity, other content another one."""

import json
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.identity import canonical_json, digest, digest_of, file_digest
from anomaly_assets.domain.table_identity import canonical_array, table_digest

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

TIME = pa.timestamp("us", tz="UTC")
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): st.text(max_size=4),
    pa.large_string(): st.text(max_size=4),
    pa.binary(): st.binary(max_size=4),
    pa.float64(): st.floats(allow_nan=False),
    pa.float32(): st.floats(allow_nan=False, width=32),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.uint8(): st.integers(0, 255),
    pa.bool_(): st.booleans(),
    TIME: st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    pa.date32(): st.dates(),
}


@st.composite
def columns(draw: st.DrawFn, rows: int) -> pa.Array:
    kind = draw(st.sampled_from(list(VALUES)))
    return pa.array(draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows)), kind)


@st.composite
def tables(draw: st.DrawFn, min_rows: int = 0) -> pa.Table:
    rows = draw(st.integers(min_rows, 6))
    names = draw(st.lists(st.text(max_size=3), min_size=1, max_size=4, unique=True))
    return pa.table([draw(columns(rows)) for _ in names], names=names)


def rechunked(table: pa.Table, cuts: list[int]) -> pa.Table:
    """The same rows in chunks that end at ``cuts``, each chunk a slice with an offset."""
    bounds = [0, *sorted(min(cut, table.num_rows) for cut in cuts), table.num_rows]
    padded = pa.concat_tables([table, table]).combine_chunks()
    parts = [padded.slice(table.num_rows + a, b - a) for a, b in pairwise(bounds)]
    return pa.concat_tables(parts)


@calm
@given(tables(), st.lists(st.integers(0, 6), max_size=4))
def test_the_digest_does_not_depend_on_chunks_or_offsets(table: pa.Table, cuts: list[int]) -> None:
    assert table_digest(rechunked(table, cuts)) == table_digest(table)


@calm
@given(tables())
def test_the_digest_does_not_depend_on_dictionary_encoding(table: pa.Table) -> None:
    encoded = pa.table([column.dictionary_encode() for column in table.columns], names=table.column_names)
    assert table_digest(encoded) == table_digest(table)


@calm
@given(tables())
def test_the_digest_does_not_depend_on_metadata_or_on_what_lies_under_nulls(table: pa.Table) -> None:
    assert table_digest(table.replace_schema_metadata({"run": "42"})) == table_digest(table)


def test_values_under_nulls_do_not_count() -> None:
    mask = np.array([False, True])
    for one, other in (
        ([1.5, 2.5], [1.5, 9.5]),
        ([1, 2], [1, 9]),
        (["a", "b"], ["a", "zzz"]),
        ([True, True], [True, False]),
    ):
        digests = {table_digest(pa.table({"x": pa.array(np.array(values), mask=mask)})) for values in (one, other)}
        assert len(digests) == 1
    text = pa.array(["a", "zzz"])
    hidden = pa.Array.from_buffers(pa.string(), 2, [pa.py_buffer(b"\x01"), *text.buffers()[1:]])
    assert hidden.to_pylist() == ["a", None]
    assert table_digest(pa.table({"x": hidden})) == table_digest(pa.table({"x": ["a", None]}))


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_minus_zero_is_zero(kind: pa.DataType) -> None:
    assert table_digest(pa.table({"x": pa.array([-0.0, 1.0], kind)})) == table_digest(
        pa.table({"x": pa.array([0.0, 1.0], kind)})
    )


@calm
@given(st.data(), tables(min_rows=1))
def test_any_changed_value_or_null_changes_the_digest(data: st.DataObject, table: pa.Table) -> None:
    index = data.draw(st.integers(0, table.num_columns - 1))
    row = data.draw(st.integers(0, table.num_rows - 1))
    values, kind = table.column(index).to_pylist(), table.column(index).type
    changed = data.draw(st.none() | VALUES[kind])
    assume(changed != values[row])
    column = pa.array([*values[:row], changed, *values[row + 1 :]], kind)
    assert table_digest(table.set_column(index, table.column_names[index], column)) != table_digest(table)


@calm
@given(st.data(), tables(min_rows=2))
def test_another_order_of_rows_changes_the_digest(data: st.DataObject, table: pa.Table) -> None:
    order = data.draw(st.permutations(range(table.num_rows)))
    other = table.take(pa.array(order))
    assume(other.to_pylist() != table.to_pylist())
    assert table_digest(other) != table_digest(table)


@calm
@given(tables(), st.text(max_size=3))
def test_another_name_order_or_number_of_columns_changes_the_digest(table: pa.Table, name: str) -> None:
    digests = {table_digest(table)}
    names = table.column_names
    assume(name not in names)
    digests.add(table_digest(table.rename_columns([name, *names[1:]])))
    digests.add(table_digest(table.append_column(name, table.column(0))))
    expected = 3
    if len(names) > 1:
        digests |= {table_digest(table.select(names[::-1])), table_digest(table.select(names[:-1]))}
        expected = 5
    assert len(digests) == expected


@calm
@given(tables(min_rows=1))
def test_another_number_of_rows_changes_the_digest(table: pa.Table) -> None:
    assert table_digest(table.slice(1)) != table_digest(table)
    assert table_digest(pa.concat_tables([table, table])) != table_digest(table)


def test_another_type_changes_the_digest() -> None:
    kinds = [pa.int64(), pa.int32(), pa.uint8(), pa.float64(), pa.float32(), pa.string(), pa.large_string(), pa.bool_()]
    kinds += [
        pa.binary(),
        TIME,
        pa.timestamp("us"),
        pa.timestamp("us", tz="Europe/Berlin"),
        pa.timestamp("ms", tz="UTC"),
    ]
    digests = {table_digest(pa.table({"x": pa.array([], kind)})) for kind in [*kinds, pa.date32(), pa.binary(32)]}
    assert len(digests) == len(kinds) + 2


def test_null_and_empty_and_zero_are_three_things() -> None:
    for kind, zero in (
        (pa.string(), ""),
        (pa.int64(), 0),
        (pa.float64(), 0.0),
        (pa.bool_(), False),
        (pa.binary(), b""),
    ):
        assert table_digest(pa.table({"x": pa.array([None], kind)})) != table_digest(
            pa.table({"x": pa.array([zero], kind)})
        )


def test_text_is_not_joined_across_rows_or_columns() -> None:
    def of(**values: list[str]) -> str:
        return table_digest(pa.table(values))

    assert len({of(a=["ab", "c"]), of(a=["a", "bc"]), of(a=["abc", ""]), of(a=["", "abc"])}) == 4
    assert of(a=["x"], b=["yz"]) != of(a=["xy"], b=["z"])


@calm
@given(st.lists(st.binary(min_size=4, max_size=4), max_size=5), st.lists(st.integers(0, 5), max_size=3))
def test_fixed_size_values_count_whole_and_in_any_chunks(values: list[bytes], cuts: list[int]) -> None:
    table = pa.table({"x": pa.array(values, pa.binary(4))})
    assert table_digest(rechunked(table, cuts)) == table_digest(table)
    for place in range(len(values)):
        other = [*values[:place], values[place][::-1], *values[place + 1 :]]
        assert (table_digest(pa.table({"x": pa.array(other, pa.binary(4))})) == table_digest(table)) == (
            other == values
        )


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.nulls(1),
        pa.array([None], pa.binary(4)),
        pa.array([1], pa.time64("us")),
    ],
)
def test_columns_without_canonical_bytes_are_refused(column: pa.Array) -> None:
    with pytest.raises(TypeError, match="no canonical bytes"):
        table_digest(pa.table({"x": column}))


def test_the_context_is_part_of_the_digest() -> None:
    table = pa.table({"x": [1]})
    assert len({table_digest(table), table_digest(table, context={"a": 1}), table_digest(table, context={"a": 2})}) == 3


def test_an_empty_table_without_chunks_has_the_digest_of_one_with_an_empty_chunk() -> None:
    for kind in [*VALUES, pa.binary(32)]:
        none = pa.table([pa.chunked_array([], kind)], names=["x"])
        assert table_digest(none) == table_digest(pa.table({"x": pa.array([], kind)}))


def test_digests_are_the_same_on_every_machine() -> None:
    """Golden values: a change here changes every revision that was ever sealed."""
    table = pa.table(
        {
            "id": ["a", None, "é"],
            "amount": [1.5, -0.0, None],
            "n": pa.array([1, None, -1], pa.int64()),
            "at": pa.array([datetime(2024, 2, 29, tzinfo=UTC), None, None], TIME),
            "day": pa.array([date(2024, 2, 29), None, None]),
            "ok": [True, False, None],
        }
    )
    assert table_digest(table) == "1cd5dd8631c6127893db8bcf3628458a212bd07f3f3c07b1ec43e83c7c1ca2fa"
    assert (
        digest_of({"b": [1, 2.5, None, True], "a": "é"})
        == "ef7a1f1a7910f96f5b31a8e35458a6c9477a2e683334249ab02276263e416b83"
    )


def test_a_part_is_not_joined_with_the_next() -> None:
    assert len({digest(b"ab", b"c"), digest(b"a", b"bc"), digest(b"abc"), digest(b"abc", b""), digest()}) == 5


def test_a_file_digest_is_what_sha256sum_prints() -> None:
    assert file_digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@calm
@given(JSON)
def test_canonical_json_is_json_that_says_the_same(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)


@calm
@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=5))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), {"a": [float("nan")]}])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)


@calm
@given(st.lists(st.floats(allow_nan=False, width=32)))
def test_arrays_have_the_same_bytes_in_any_byte_order_or_layout(values: list[float]) -> None:
    for kind in ("f4", "f8"):
        array = np.array(values, dtype=f"<{kind}")
        assert canonical_array(array.astype(f">{kind}")) == canonical_array(array)
        assert canonical_array(np.repeat(array, 2)[::2]) == canonical_array(array)
        assert canonical_array(-array) == canonical_array(np.where(array == 0, 0.0, -array).astype(f"<{kind}"))


def test_integer_and_bool_arrays_keep_their_width() -> None:
    assert canonical_array(np.array([1, 258], dtype=">i4")) == b"\x01\x00\x00\x00\x02\x01\x00\x00"
    assert canonical_array(np.array([True, False])) == b"\x01\x00"
    assert canonical_array(np.array([[1, 2], [3, 4]], dtype="u1", order="F")) == b"\x01\x02\x03\x04"
