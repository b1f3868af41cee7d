"""Parquet and CSV files on a local disk: which of a folder are data, and one read into a table of canonical names."""

import csv
import difflib
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from anomaly_assets.domain.errors import SourceError, SourceUnavailable

PARQUET_SUFFIXES = (".parquet", ".pq")
CSV_SUFFIXES = (".csv", ".csv.gz")
_FORMATS = ", ".join(PARQUET_SUFFIXES + CSV_SUFFIXES)


def data_files(path: Path) -> list[Path]:
    """The data files at ``path``: itself, or all below it in order of their path.

    In a folder (searched recursively) a file is data when its name ends in .parquet, .pq, .csv or .csv.gz, in any
    case; everything else is ignored, and so is every file or folder whose name begins with a dot or an underscore
    (hidden and temporary ones, and the markers other programs leave).

    Raises ``SourceUnavailable`` when there is nothing at ``path`` and ``SourceError`` when it holds no data file.
    """
    if not path.exists():
        raise _nothing_at(path)
    if not path.is_dir():
        if not _is_data(path):
            raise SourceError(f"{path} is no data file", expected=f"a file ending in one of {_FORMATS}, or a folder")
        return [path]
    found = sorted(_below(path), key=lambda file: file.relative_to(path).parts)
    if not found:
        raise SourceError(
            f"the folder {path} holds no data files",
            expected=f"files ending in one of {_FORMATS}; names that begin with . or _ are ignored",
            remedy="correct source.files.path or put the files there",
        )
    return found


def read_columns(path: Path, columns: Mapping[str, str], delimiter: str) -> pa.Table:
    """All rows of one file with the columns in ``columns`` (new name to the file's name), under their new names.

    Parquet columns keep their types; CSV columns are bytes exactly as they stand in the file, because guessing types
    would change ids and amounts before the border sees them. Text has 64-bit offsets.

    Raises ``SourceError`` when a column is missing or the file cannot be decoded, and ``SourceUnavailable`` when the
    file is gone or the disk does not answer.
    """
    with _failures_naming(path):
        read = _read_csv if path.name.lower().endswith(CSV_SUFFIXES) else _read_parquet
        table = read(path, list(dict.fromkeys(columns.values())), delimiter)
    return pa.table({name: _with_wide_offsets(table.column(theirs)) for name, theirs in columns.items()})


def _below(folder: Path) -> Iterator[Path]:
    with _failures_naming(folder):
        for parent, folders, names in os.walk(folder, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith((".", "_"))]
            yield from (Path(parent, name) for name in names if _is_data(Path(name)))


def _raise(error: OSError) -> None:
    raise error


def _is_data(path: Path) -> bool:
    return not path.name.startswith((".", "_")) and path.name.lower().endswith(PARQUET_SUFFIXES + CSV_SUFFIXES)


def _read_parquet(path: Path, names: list[str], _delimiter: str) -> pa.Table:
    with pq.ParquetFile(path, page_checksum_verification=True, coerce_int96_timestamp_unit="us") as file:
        _require_columns(path, file.schema_arrow.names, names)
        return file.read(columns=names)


def _read_csv(path: Path, names: list[str], delimiter: str) -> pa.Table:
    with pa.input_stream(str(path), compression="detect") as stream:
        content = stream.read_buffer()  # not Python's memory: Arrow's threads may let go of it as the interpreter ends
    parse = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with pacsv.open_csv(pa.BufferReader(content), parse_options=parse) as reader:
        _require_columns(path, reader.schema.names, names)
    as_bytes = pacsv.ConvertOptions(
        include_columns=names, column_types=dict.fromkeys(names, pa.large_binary()), strings_can_be_null=False
    )
    table = pacsv.read_csv(pa.BufferReader(content), parse_options=parse, convert_options=as_bytes)
    _require_closed_quotes(path, content.to_pybytes(), table.num_rows, delimiter)
    return table


def _require_closed_quotes(path: Path, content: bytes, n_rows: int, delimiter: str) -> None:
    """Refuse a file in which a quote that is never closed, or closed too late, swallowed rows.

    Arrow reads on without a word, and in a column nobody asked for the loss could not be seen. Where each line gave
    a row nothing was swallowed; only otherwise a second, strict parser is asked.
    """
    body = content.rstrip(b"\r\n")
    last_line = body[body.rfind(b"\n") + 1 :]
    if body.count(b"\n") == n_rows and b'"' not in last_line:
        return
    text = io.TextIOWrapper(io.BytesIO(content), encoding="latin-1", newline="")
    try:
        n_records = sum(1 for record in csv.reader(text, delimiter=delimiter, strict=True) if record)
    except csv.Error as error:
        raise _undecodable(path, error) from None
    if n_records != n_rows + 1:
        raise _undecodable(path, ValueError(f"{n_rows} rows by one parser, {n_records - 1} by another"))


def _require_columns(path: Path, found: list[str], wanted: list[str]) -> None:
    problems = [_explain(name, found) for name in wanted if found.count(name) != 1]
    if problems:
        raise SourceError(
            f"{path} has the columns {', '.join(found)}; {'; '.join(problems)}",
            expected=f"each of {', '.join(wanted)} once",
            remedy="map the names in source.files.columns (canonical name: the file's name)",
        )


def _explain(name: str, found: list[str]) -> str:
    if name in found:
        return f"{name} is there {found.count(name)} times"
    near = difflib.get_close_matches(name.lower(), [other.lower() for other in found], n=1, cutoff=0.0)
    nearest = next((other for other in found if near and other.lower() == near[0]), None)
    return f"{name} is missing" + (f" (the nearest is {nearest})" if nearest is not None else "")


def _with_wide_offsets(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text with 64-bit offsets, so that rows can be brought together whatever their total size."""
    if pa.types.is_string(column.type):
        return column.cast(pa.large_string())
    return column.cast(pa.large_binary()) if pa.types.is_binary(column.type) else column


@contextmanager
def _failures_naming(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise _nothing_at(path) from None
    except PermissionError:
        raise SourceError(f"{path} may not be read", remedy="let this user read it") from None
    except OSError as error:
        if error.errno is not None:
            raise SourceUnavailable(f"reading {path} failed: {error.strerror}") from error
        raise _undecodable(path, error) from error
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise _undecodable(path, error) from error


def _undecodable(path: Path, error: Exception) -> SourceError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
    return SourceError(
        f"{path} cannot be decoded: {reason}",
        expected="a complete file of the format its name ends in",
        remedy="deliver the file again",
    )


def _nothing_at(path: Path) -> SourceUnavailable:
    return SourceUnavailable(
        f"there is nothing at {path}",
        expected="a data file or a folder of them",
        remedy="wait for the file or mount to come back, or correct source.files.path",
    )
