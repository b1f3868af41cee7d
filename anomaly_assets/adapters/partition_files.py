"""Files of a partition: one way to write a table, so that equal rows are equal bytes, and what a file is called."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from anomaly_assets.adapters.atomic_files import fsync_file, naming
from anomaly_assets.adapters.object_path import AnyPath, ObjectPath
from anomaly_assets.adapters.seal import StoredFile
from anomaly_assets.domain.wallet_leaves import root_of, wallet_column, wallet_leaves

SMALL_ROW_GROUP, LARGE_ROW_GROUP, ROW_GROUPS = 8_192, 131_072, 32
"""Rows of the row groups of a small day and of a large one, and how many groups a day between them has."""
WIDE_ROLES = frozenset({"models"})
"""Files of few and wide rows that are looked up by wallet: their row groups are a quarter as large."""


def row_group_rows(n_rows: int, role: str) -> int:
    """Rows of each row group of a file of ``n_rows``, which is sorted by wallet.

    Few rows let one wallet be read without most others; many let all be read quickly.
    """
    rows = min(max(n_rows // ROW_GROUPS, SMALL_ROW_GROUP), LARGE_ROW_GROUP)
    return rows // 4 if role in WIDE_ROLES else rows


def write_table(table: pa.Table, temporary: Path, role: str) -> StoredFile:
    """Write ``table`` durably under a temporary name; what the file will be."""
    with naming(temporary):
        # pages end where chunks end, so equal rows in other chunks would be other bytes
        pq.write_table(
            table.combine_chunks(), temporary, compression="zstd", row_group_size=row_group_rows(table.num_rows, role)
        )
    fsync_file(temporary)
    root = None if wallet_column(table) is None else root_of(table.schema, wallet_leaves(table).values())
    sha256 = digest_in_place(temporary)
    return StoredFile(final_name(role, sha256), sha256, temporary.stat().st_size, table.num_rows, root)


def digest_in_place(path: AnyPath) -> str:
    """The ``file_digest`` of a file, read block by block. Raises ``FileNotFoundError``."""
    with path.open_input() if isinstance(path, ObjectPath) else path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def final_name(role: str, sha256: str) -> str:
    """Content-addressed file name of a role."""
    return f"{role}-{sha256[:16]}.parquet"


def role_of(path: AnyPath) -> str:
    """The role in a content-addressed file name."""
    return path.stem.rpartition("-")[0]
