"""Rows of a CSV file, batch by batch: every value as the bytes that stand in the file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from anomaly_assets.adapters.object_path import AnyPath
from anomaly_assets.adapters.sources.csv_text import utf8_blocks
from anomaly_assets.adapters.sources.file_faults import undecodable
from anomaly_assets.domain.csv_records import complete_records
from anomaly_assets.domain.errors import SourceError

DELIMITERS = (",", ";", "\t", "|")
"""What ``auto`` chooses from."""
LONGEST_RECORD_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Header:
    """The first record of a CSV file, and the delimiter it was read with."""

    names: tuple[str, ...]
    delimiter: str


def csv_header(path: AnyPath, delimiter: str, encoding: str, wanted: Sequence[str]) -> Header:
    """The header of ``path``; with the delimiter ``auto`` the one by which most wanted columns are found."""
    return next(_parts(path, delimiter, encoding, wanted))[0]


def csv_tables(path: AnyPath, delimiter: str, encoding: str, wanted: Sequence[str]) -> Iterator[pa.Table]:
    """All rows of ``path`` in parts, with those wanted columns that it has exactly once, as large_binary.

    Guessing types would change ids and amounts before the border sees them. Raises ``SourceError`` naming the line
    where a quote swallowed rows or a record has more or fewer values than the header, and as ``utf8_blocks`` does.
    """
    for header, content, line in _parts(path, delimiter, encoding, wanted):
        if content is not None:
            yield _table(path, header, content, line, wanted)


def _parts(
    path: AnyPath, delimiter: str, encoding: str, wanted: Sequence[str]
) -> Iterator[tuple[Header, tuple[bytes, int] | None, int]]:
    """The header, then parts of complete records with their number, and the line (from 1) each starts with."""
    header: Header | None = None
    rest, line = b"", 1
    for block, final in _with_end(utf8_blocks(path, encoding)):
        text = rest + block if rest else block
        if header is None:
            found = complete_records(_bytes(text), ord(","), final=final, most=1)
            if found.n_records == 0 and not final:
                rest = _bounded(path, text, line)
                continue
            header = _header(path, text[: found.end], delimiter, wanted)
            yield header, None, line
            text, line = text[found.end :], line + found.n_lines
        found = complete_records(_bytes(text), ord(header.delimiter), final=final)
        if found.bad_line:
            raise _unclosed(path, line - 1 + found.bad_line)
        if found.n_records:
            yield header, (text[: found.end], found.n_records), line
        rest, line = _bounded(path, text[found.end :], line), line + found.n_lines


def _with_end(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    for block in blocks:
        yield block, False
    yield b"", True


def _bytes(text: bytes) -> np.ndarray:
    return np.frombuffer(text, dtype=np.uint8)


def _bounded(path: AnyPath, rest: bytes, line: int) -> bytes:
    if len(rest) > LONGEST_RECORD_BYTES:
        raise _unclosed(path, line)
    return rest


def _unclosed(path: AnyPath, line: int) -> SourceError:
    return undecodable(path, f"a quote in line {line} is closed late or never and swallows the rows after it")


def _header(path: AnyPath, text: bytes, delimiter: str, wanted: Sequence[str]) -> Header:
    if not text.strip():
        raise undecodable(path, "it is empty, without even a header")
    candidates = [Header(_names(text, mark), mark) for mark in (DELIMITERS if delimiter == "auto" else (delimiter,))]
    if len(candidates) == 1:
        return candidates[0]
    scores = [sum(candidate.names.count(name) == 1 for name in wanted) for candidate in candidates]
    best = [candidate for candidate, score in zip(candidates, scores, strict=True) if score == max(scores)]
    if len(best) == 1:
        return best[0]
    raise SourceError(
        f"{path}: the delimiter cannot be told from the header, which is {text[:200].decode(errors='replace').strip()}",
        expected=f"the columns {', '.join(wanted)} between commas, semicolons, tabs or bars",
        remedy="set source.files.delimiter, or map the names in source.files.columns",
    )


def _names(text: bytes, delimiter: str) -> tuple[str, ...]:
    parse = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = pacsv.ConvertOptions(strings_can_be_null=False)
    options = pacsv.ReadOptions(autogenerate_column_names=True, use_threads=False)
    types = pacsv.read_csv(_in_arrows_memory(text), options, parse, convert).column_names
    convert = pacsv.ConvertOptions(strings_can_be_null=False, column_types=dict.fromkeys(types, pa.large_binary()))
    row = pacsv.read_csv(_in_arrows_memory(text), options, parse, convert)
    return tuple(column[0].as_py().decode(errors="replace") for column in row.columns)


def _table(path: AnyPath, header: Header, content: tuple[bytes, int], line: int, wanted: Sequence[str]) -> pa.Table:
    text, n_records = content
    places = {name: header.names.index(name) for name in wanted if header.names.count(name) == 1}
    columns = [str(place) for place in places.values()]
    try:
        table = pacsv.read_csv(
            _in_arrows_memory(text),
            pacsv.ReadOptions(column_names=[str(place) for place in range(len(header.names))]),
            pacsv.ParseOptions(delimiter=header.delimiter, newlines_in_values=True),
            pacsv.ConvertOptions(
                include_columns=columns,
                column_types=dict.fromkeys(columns, pa.large_binary()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise undecodable(path, f"{str(error).splitlines()[0]} (in the part that begins with line {line})") from None
    if table.num_rows != n_records:
        raise undecodable(path, f"{n_records} records by one parser, {table.num_rows} by another, from line {line} on")
    return table.rename_columns(list(places))


def _in_arrows_memory(text: bytes) -> pa.BufferReader:
    """Arrow's threads may let go of what they read as the interpreter ends, when Python's memory is no more."""
    sink = pa.BufferOutputStream()
    sink.write(text)
    return pa.BufferReader(sink.getvalue())
