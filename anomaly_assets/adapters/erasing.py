"""Taking a wallet's rows out of every file of a partition, whatever revision they belong to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.atomic_files import fsync_folder, replace_durably, temporary_path, write_atomically
from anomaly_assets.adapters.erased_files import ERASED_FILE, ErasedFiles, Remainder
from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.lake import PartitionWriter
from anomaly_assets.adapters.object_path import AnyPath, listed
from anomaly_assets.adapters.parquet_bytes import table_from_bytes
from anomaly_assets.adapters.partition_files import role_of, write_table
from anomaly_assets.adapters.publication_log import ERASURE
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.identity import file_digest
from anomaly_assets.domain.wallet_leaves import wallet_column, wallet_leaves


@dataclass(frozen=True)
class Held:
    """A file of a partition and its rows of one wallet."""

    path: AnyPath
    rows: pa.Table


def files_with(folder: AnyPath, wallet_id: str) -> list[Held]:
    """Files of a partition that hold the wallet, also those that no seal names. Raises ``CorruptFile``."""
    found = []
    for path in listed(folder, "[!.]*.parquet"):
        rows = _of_wallet(_read(path), wallet_id, keep=True)
        if rows.num_rows:
            found.append(Held(path, rows))
    return found


def erase_from(
    writer: PartitionWriter, wallet_id: str, note: Callable[[str, date, Sequence[Held]], None] = lambda *_: None
) -> ErasedFiles:
    """Put in the place of every file that holds the wallet one without its rows; the seals stay as they are.

    The order survives a kill: first what is left, then the record that leads readers to it, then the old files go.
    ``note`` is told before anything is written what files hold.

    Raises ``CorruptFile`` when a file is not what its name promises: it might hold the wallet.
    """
    lake, folder = writer.lake, writer.lake.folder(writer.asset, writer.day)
    before = lake.erased(writer.asset, writer.day)
    held = files_with(folder, wallet_id)
    if not held:
        return before
    note(writer.asset, writer.day, held)
    remainders = dict(before.remainders)
    for each in held:
        writer.lease.check()
        sealed = _sealed_digests(before.remainders, each.path)
        remainder = _remainder(each, wallet_id, lake.local_folder(writer.asset, writer.day))
        for sha256 in sealed:
            earlier = remainders[sha256].leaves if sha256 in remainders else ()
            remainders[sha256] = Remainder(remainder.file, tuple(sorted({*earlier, *remainder.leaves})))
    record = ErasedFiles(writer.asset, writer.day, remainders)
    failpoint(f"{ERASURE}.staged")
    write_atomically(folder / ERASED_FILE, record.to_bytes(), locked=True)
    failpoint(f"{ERASURE}.recorded")
    for each in held:
        each.path.unlink()
    fsync_folder(folder)
    return record


def _remainder(held: Held, wallet_id: str, local: Path) -> Remainder:
    """Write what is left of a file beside it; ``local`` is a folder of this machine."""
    table = _read(held.path)
    temporary = temporary_path(local / "remainder")
    file = write_table(_of_wallet(table, wallet_id, keep=False), temporary, role_of(held.path))
    replace_durably(temporary, held.path.with_name(file.name))
    return Remainder(file, (wallet_leaves(held.rows)[wallet_id],))


def _sealed_digests(remainders: Mapping[str, Remainder], path: AnyPath) -> list[str]:
    """The digests by which seals name a file: its own, or those of the files that it is the remainder of."""
    of = [sha256 for sha256, remainder in remainders.items() if remainder.file.name == path.name]
    return [*of, file_digest(path.read_bytes())]


def _read(path: AnyPath) -> pa.Table:
    content = path.read_bytes()
    if not path.stem.endswith(f"-{file_digest(content)[:16]}"):
        raise CorruptFile(
            f"{path.parent.parent.name}/{path.parent.name}/{path.name} has digest {file_digest(content)}",
            expected="the digest that its name begins with",
            remedy="restore it from a copy or remove it, then erase the wallet again: it might hold its rows",
        )
    return table_from_bytes(content)


def _of_wallet(table: pa.Table, wallet_id: str, *, keep: bool) -> pa.Table:
    """Rows of the wallet, or all the others."""
    column = wallet_column(table)
    if column is None:
        return table.slice(0, 0) if keep else table
    is_wallet = pc.fill_null(pc.equal(table.column(column), wallet_id), False)
    return table.filter(is_wallet if keep else pc.invert(is_wallet))
