"""Which wallets were erased from a home: enough to refuse their rows and to answer for their transactions, no more.

``{home}/erasures/{mark[:16]}.json``, one file a wallet. Wallets and transactions are named by salted digests, so the
files tell nobody who does not know the id already which ids they were.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.domain.errors import CorruptFile, require_known_format
from anomaly_assets.domain.identity import JsonObject, digest, digest_of, opened_json, sealed_json

FORMAT_VERSION = 1
RECORD_ID = "record_id"


@dataclass(frozen=True)
class ErasedWallet:
    """One erased wallet.

    Parameters
    ----------
    mark : salted digest of the wallet's id
    transactions : per day the salted digests of the ids of its transactions, ascending
    pending_models : ids of its models whose payloads are to be dropped yet, ascending
    request : who had it erased, why and under which ticket; None in records of releases that did not ask
    others : what else a newer release recorded, kept as it is
    """

    mark: str
    transactions: Mapping[date, tuple[str, ...]]
    pending_models: tuple[str, ...] = ()
    request: JsonObject | None = None
    others: JsonObject = field(default_factory=dict)

    @property
    def content(self) -> JsonObject:
        """Everything recorded, as JSON."""
        days = {day.isoformat(): list(marks) for day, marks in sorted(self.transactions.items())}
        pending = {"pending_models": list(self.pending_models)} if self.pending_models else {}
        asked = {"request": dict(self.request)} if self.request is not None else {}
        return {"format": FORMAT_VERSION, "mark": self.mark, "transactions": days, **pending, **asked, **self.others}

    @property
    def record_id(self) -> str:
        """Hex SHA-256 of the record, as the publication log names it."""
        return digest_of(self.content)

    @property
    def n_transactions(self) -> int:
        """How many ids of transactions are recorded."""
        return sum(map(len, self.transactions.values()))

    def and_also(self, transactions: Mapping[date, Iterable[str]], model_ids: Iterable[str] = ()) -> "ErasedWallet":
        """The record with further transactions and models."""
        days = sorted({*self.transactions, *transactions})
        both = {day: {*self.transactions.get(day, ()), *transactions.get(day, ())} for day in days}
        pending = tuple(sorted({*self.pending_models, *model_ids}))
        marks = {day: tuple(sorted(marks)) for day, marks in both.items()}
        return replace(self, transactions=marks, pending_models=pending)


@dataclass(frozen=True)
class Erasures:
    """The erased wallets under ``root``; ``salt`` goes into every digest."""

    root: Path
    salt: str

    def mark_of(self, kind: str, text: str) -> str:
        """Salted digest of an id; ``kind`` is ``wallet`` or ``transaction``."""
        return digest(self.salt.encode(), kind.encode(), text.encode())

    def find(self, wallet_id: str) -> ErasedWallet | None:
        """The record of a wallet; None when it was not erased. Raises ``CorruptFile``."""
        return self.of_mark(self.mark_of("wallet", wallet_id))

    def of_mark(self, mark: str) -> ErasedWallet | None:
        """The record of a mark; None when there is none. Raises ``CorruptFile``."""
        return self._read(path) if (path := self._path(mark)).exists() else None

    def with_transaction(self, tx_id: str) -> list[tuple[ErasedWallet, date]]:
        """Erased wallets that had a transaction of this id, and its days. Raises ``CorruptFile``."""
        wanted = self.mark_of("transaction", tx_id)
        return [
            (wallet, day)
            for wallet in self.wallets()
            for day, marks in sorted(wallet.transactions.items())
            if wanted in marks
        ]

    def wallets(self) -> list[ErasedWallet]:
        """Every record. Raises ``CorruptFile``."""
        return [self._read(path) for path in sorted(self.root.glob("*.json"))]

    def among(self, wallets: pa.Array) -> np.ndarray:
        """Which of these wallet ids (nulls allowed) were erased, bool array of shape (n,).

        Raises ``CorruptFile`` when a record cannot be read: a row of an erased wallet must not slip in.
        """
        marks = {wallet.mark for wallet in self.wallets()}
        if not marks:
            return np.zeros(len(wallets), dtype=bool)
        present = [wallet for wallet in pc.unique(wallets).to_pylist() if wallet is not None]
        gone = [wallet for wallet in present if self.mark_of("wallet", wallet) in marks]
        found: np.ndarray = pc.is_in(wallets, pa.array(gone, wallets.type)).to_numpy(zero_copy_only=False)
        return found

    def write(self, wallet: ErasedWallet) -> None:
        """Record a wallet, durably. The caller holds the home's erasure lock."""
        content = sealed_json(wallet.content, RECORD_ID)
        path = self._path(wallet.mark)
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content, locked=True)

    def _path(self, mark: str) -> Path:
        return self.root / f"{mark[:16]}.json"

    def _read(self, path: Path) -> ErasedWallet:
        content = path.read_bytes()
        try:
            value = opened_json(content, RECORD_ID)
            require_known_format(f"erasures/{path.name}", value.pop("format"), FORMAT_VERSION)
            days = {date.fromisoformat(day): tuple(marks) for day, marks in value.pop("transactions").items()}
            mark, pending = value.pop("mark"), tuple(value.pop("pending_models", ()))
            asked = value.pop("request", None)
            found = ErasedWallet(mark, days, pending, None if asked is None else dict(asked), value)
            intact = True
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            intact = False
        if not intact or self._path(found.mark) != path:
            raise CorruptFile(
                f"erasures/{path.name} is not the record that was written there",
                expected="canonical JSON with the digest of its content",
                remedy="restore it from a copy, or erase the wallet again",
            )
        return found
