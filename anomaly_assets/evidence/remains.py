"""Proof beside erasures: what is left of a file is what was sealed, and what is gone went with its wallet."""

from collections.abc import Callable, Collection
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.lineage import RAW, SCORED
from anomaly_assets.domain.wallet_leaves import root_of, wallet_leaves
from anomaly_assets.evidence.checked_log import CheckedLog
from anomaly_assets.evidence.erasures import ErasureEntry
from anomaly_assets.evidence.lookup import erased
from anomaly_assets.evidence.same import require_same

NOTE = "wallets were erased; the rows of all others, with the leaves that were kept, give the roots that were sealed"


def require_content(
    home: Home, log: CheckedLog | None, seal: Seal, role: str, table: pa.Table, revision: Callable[[], str]
) -> list[str]:
    """Show that a file holds what was sealed: by ``revision``, or after an erasure by its root; returns notes.

    Raises ``CorruptFile`` when it does not, or when the publication log knows of no such erasure, and ``NotSealed``
    when the file was sealed without a root.
    """
    record = home.lake.erased(seal.asset, seal.day)
    remainder = record.remainders.get(seal.files[role].sha256)
    if remainder is None:
        require_same(f"the revision of {seal.asset} of {seal.day}", seal.revision, revision())
        return []
    if log is not None and not log.names_erased(record):
        raise _unlogged(f"{seal.asset}/{seal.day}")
    if (root := seal.files[role].root) is None:
        raise NotSealed(
            f"{seal.asset} of {seal.day} was sealed without a root, so nothing shows what an erasure left of it",
            remedy="days that were sealed before roots were are provable only until a wallet of theirs is erased",
        )
    again = root_of(table.schema, [*wallet_leaves(table).values(), *remainder.leaves])
    require_same(f"the root of the {role} of {seal.asset} of {seal.day}", root, again)
    return [NOTE]


def require_not_erased(home: Home, log: CheckedLog | None, day: date, tx_ids: Collection[str]) -> None:
    """Raise ``Erased`` when one of these transactions of ``day`` went with its wallet.

    Raises ``CorruptFile`` when one is recorded as erased and is still there, or the log knows of no such erasure.
    """
    erasures = home.erasures
    for tx_id in tx_ids:
        for wallet, when in erasures.with_transaction(tx_id):
            if when != day:
                continue
            if log is not None and not log.names_erasure(wallet):
                raise _unlogged("erasures")
            owners = _owners(home, tx_id, day)
            if owners and wallet.mark not in owners:
                continue  # a correction had given it to a wallet that is still there
            if owners:
                raise CorruptFile(
                    f"{tx_id!r} is recorded as erased and is still in a file of {day}",
                    remedy="erase its wallet again: that removes what was left, or what was put back",
                )
            raise erased(tx_id, [day])


def erasures_naming(home: Home, log: CheckedLog, day: date, tx_ids: Collection[str]) -> list[ErasureEntry]:
    """The entries of the log by which these transactions of ``day`` went, oldest first."""
    wallets = {
        wallet.mark: wallet for tx_id in tx_ids for wallet, when in home.erasures.with_transaction(tx_id) if when == day
    }
    entries = [entry for wallet in wallets.values() if (entry := log.erasure_of(wallet)) is not None]
    return [ErasureEntry.of(entry) for entry in sorted(entries, key=lambda entry: int(entry["sequence"]))]


def _owners(home: Home, tx_id: str, day: date) -> set[str]:
    """Marks of the wallets that have the transaction in what is current of the day."""
    owners: set[str] = set()
    for asset, role, names in (
        (RAW, "transactions", ("tx_id", "wallet_id")),
        (SCORED, "scored", ("TX_ID", "WALLET_ID")),
    ):
        seal = home.lake.find(asset, day)
        if seal is not None:
            rows = home.lake.read(seal, role, names)
            found = rows.filter(pc.equal(rows.column(names[0]), tx_id)).column(names[1]).to_pylist()
            owners.update(home.erasures.mark_of("wallet", wallet) for wallet in found)
    return owners


def require_records(home: Home, log: CheckedLog | None) -> None:
    """Raise ``CorruptFile`` when a record of an erased wallet is not, or not any more, as the log names it.

    Without it the border would let the wallet in again.
    """
    for mark, record_id in (log.erased_wallets() if log else {}).items():
        wallet = home.erasures.of_mark(mark)
        if wallet is None or wallet.record_id != record_id:
            raise CorruptFile(
                f"the record of an erased wallet, {mark[:16]}, {'is gone' if wallet is None else 'was changed'}",
                expected=f"erasures/{mark[:16]}.json, whose content has the digest {record_id}",
                remedy="restore it from a copy, or erase the wallet again: without it its rows are let in",
            )


def _unlogged(where: str) -> CorruptFile:
    return CorruptFile(
        f"rows are gone from {where} by an erasure that the publication log does not name",
        expected="an entry with the digest of its record",
        remedy="an erasure was interrupted: erase the wallet again; or somebody removed the rows by hand",
    )
