"""Parquet and CSV files, on a disk or in an object store: which of a folder are data, and how all of them are read."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from anomaly_assets.adapters.object_path import AnyPath, ObjectPath
from anomaly_assets.adapters.sources.file_faults import failures_naming, nothing_at, undecodable
from anomaly_assets.domain.border_rules import AmbiguousTimes
from anomaly_assets.domain.errors import SourceError

if TYPE_CHECKING:
    import pyarrow.dataset as ds

PARQUET_SUFFIXES = (".parquet", ".pq")
CSV_SUFFIXES = (".csv", ".csv.gz", ".csv.zst", ".csv.bz2", ".csv.lz4", ".csv.xz")
_FORMATS = ", ".join(PARQUET_SUFFIXES + CSV_SUFFIXES)
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
EpochUnit = Literal["s", "ms", "us", "ns"]


@dataclass(frozen=True)
class Reading:
    """How files are read.

    Parameters
    ----------
    columns : pairs of canonical and file's column name
    time_zone, ambiguous_times : as in ``domain.border_rules.BorderRules``
    epoch_unit : unit of times that are whole numbers since 1970 in UTC; None: such times are an error
    delimiter : of CSV files, one ASCII character, or ``auto``
    encoding : of CSV files, a text encoding of Python
    decimal, thousands : marks in the amounts of CSV files; no thousands mark when empty
    """

    columns: tuple[tuple[str, str], ...]
    time_zone: str = "UTC"
    ambiguous_times: AmbiguousTimes = "earlier"
    epoch_unit: EpochUnit | None = None
    delimiter: str = ","
    encoding: str = "utf-8"
    decimal: str = "."
    thousands: str = ""

    @property
    def names(self) -> list[str]:
        """The wanted names of the file's columns, each once."""
        return list(dict.fromkeys(theirs for _, theirs in self.columns))

    def name_of(self, canonical: str) -> str:
        """The file's name of a canonical column."""
        return dict(self.columns)[canonical]


@dataclass(frozen=True)
class DataFile:
    """A file with the values its folders give to columns that it may lack (``name=value``), None being null."""

    path: AnyPath
    partition: tuple[tuple[str, str | None], ...] = ()

    @property
    def is_csv(self) -> bool:
        """Whether it is CSV, compressed or not; else it is parquet."""
        return self.path.name.lower().endswith(CSV_SUFFIXES)


def data_files(root: AnyPath, names: list[str]) -> list[DataFile]:
    """The data files at ``root``: itself, or all below it in order of their path.

    In a folder (searched recursively) a file is data when its name ends in .parquet, .pq or .csv, or in .csv and a
    compression (.gz, .zst, .bz2, .lz4, .xz), in any case; everything else is ignored, and so is every file or folder
    whose name begins with a dot or an underscore (hidden and temporary ones, and the markers other programs leave).

    Parameters
    ----------
    names : wanted columns; folders that are named otherwise give no values

    Raises ``SourceUnavailable`` when there is nothing at ``root`` and ``SourceError`` when it holds no data file.
    """
    with failures_naming(root):
        exists, is_folder = root.exists(), root.is_dir()
    if not exists:
        raise nothing_at(root)
    if not is_folder:
        if not _is_data(root):
            raise SourceError(f"{root} is no data file", expected=f"a file ending in one of {_FORMATS}, or a folder")
        return [DataFile(root)]
    found = sorted(_below(root), key=lambda file: parts_below(file, root))
    if not found:
        raise SourceError(
            f"the folder {root} holds no data files",
            expected=f"files ending in one of {_FORMATS}; names that begin with . or _ are ignored",
            remedy="correct source.files.path or put the files there",
        )
    import pyarrow.dataset as ds  # noqa: PLC0415  it loads pandas where there is one

    hive = ds.HivePartitioning(
        pa.schema([(name, pa.string()) for name in names]), null_fallback=_NULL_PARTITION, segment_encoding="uri"
    )
    return [DataFile(path, _partition(hive, path, root)) for path in found]


def parts_below(path: AnyPath, root: AnyPath) -> tuple[str, ...]:
    """The names that lead from ``root`` to ``path``."""
    if isinstance(path, ObjectPath) and isinstance(root, ObjectPath):
        return path.relative_to(root).parts
    return Path(str(path)).relative_to(str(root)).parts


def _partition(hive: "ds.HivePartitioning", path: AnyPath, root: AnyPath) -> tuple[tuple[str, str | None], ...]:
    import pyarrow.dataset as ds  # noqa: PLC0415  as above

    # Arrow decodes values that nobody wants, too, and refuses those that are no text
    wanted = [part for part in parts_below(path, root)[:-1] if part.partition("=")[0] in hive.schema.names]
    try:
        keys = ds.get_partition_keys(hive.parse("/".join([*wanted, path.name])))
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise undecodable(path, f"its folders give no values: {error}", remedy="rename the folder") from None
    return tuple(keys.items())


def _below(folder: AnyPath) -> Iterator[AnyPath]:
    with failures_naming(folder):
        if isinstance(folder, ObjectPath):
            seen = (path for path in folder.below() if not any(map(_is_hidden, parts_below(path, folder))))
            yield from (path for path in seen if _is_data(path))
            return
        for parent, folders, names in os.walk(folder, onerror=_raise):
            folders[:] = [name for name in folders if not _is_hidden(name)]
            yield from (Path(parent, name) for name in names if _is_data(Path(name)))


def _raise(error: OSError) -> None:
    raise error


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _is_data(path: AnyPath) -> bool:
    return not _is_hidden(path.name) and path.name.lower().endswith(PARQUET_SUFFIXES + CSV_SUFFIXES)
