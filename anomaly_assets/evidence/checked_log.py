"""The publication log, read with its whole chain proved, and asked many times."""

from collections import defaultdict
from datetime import date

from anomaly_assets.adapters.erased_files import ErasedFiles
from anomaly_assets.adapters.erasures import ErasedWallet
from anomaly_assets.adapters.publication_log import COMMIT, ERASURE, GENESIS, LogEntry, Place, PublicationLog, kind_of
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.errors import CorruptFile, NotSealed


class CheckedLog:
    """What the log of a home names, and in which order.

    It is read once. What is published meanwhile is read, and its chain followed, when somebody asks for it.
    """

    def __init__(self, log: PublicationLog) -> None:
        """Follow the chain to its end.

        Raises ``CorruptFile`` at the first broken link, ``NotSealed`` when there is no log.
        """
        if not log.path.exists():
            raise NotSealed(
                f"{log.path.name} is gone",
                expected="the record of every publication of this home",
                remedy="restore it from a copy; without it nothing tells what was published by a run",
            )
        self._log, self._place = log, Place()
        self._named: dict[str, tuple[str, str, str, dict[str, str]]] = {}
        self._first: dict[str, int] = {}
        self._revisions: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        self._erasures: dict[tuple[str, str], LogEntry] = {}
        self._erased_wallets: dict[str, str] = {}
        self._hashes = {GENESIS}
        self._read_on()

    def require(self, head: str | None) -> None:
        """Raise ``CorruptFile`` unless the log grew from ``head``, which somebody kept (None: nobody did)."""
        if head is None or head in self._hashes:
            return
        self._read_on()
        if head not in self._hashes:
            raise CorruptFile(
                f"the publication log, whose head is {self._place.hash}, does not hold the entry {head}",
                expected="a log that grew from the head that was kept",
                remedy="the log was rewritten or cut: restore it from a copy that holds that entry",
            )

    def names(self, seal: Seal) -> bool:
        """Whether an entry names this very seal with its files. Raises ``CorruptFile`` when the log goes on broken."""
        wanted = (seal.asset, seal.day.isoformat(), seal.revision, {r: file.sha256 for r, file in seal.files.items()})
        if self._named.get(seal.seal_id) != wanted:
            self._read_on()
        return self._named.get(seal.seal_id) == wanted

    def names_erasure(self, wallet: ErasedWallet) -> bool:
        """Whether an entry names the record of an erased wallet as it is now."""
        return self._names_erasure(wallet.mark, wallet.record_id)

    def names_erased(self, files: ErasedFiles) -> bool:
        """Whether an entry names what is left of a partition as it is now."""
        return self._names_erasure(f"{files.asset}/{files.day}", files.record_id)

    def erasure_of(self, wallet: ErasedWallet) -> LogEntry | None:
        """The first entry that names the record of an erased wallet as it is now; None when none does."""
        self.names_erasure(wallet)
        return self._erasures.get((wallet.mark, wallet.record_id))

    def erased_wallets(self) -> dict[str, str]:
        """Mark of each erased wallet and the digest of its record, as named last."""
        return self._erased_wallets

    def _names_erasure(self, of: str, record_id: str) -> bool:
        if (of, record_id) not in self._erasures:
            self._read_on()
        return (of, record_id) in self._erasures

    def first_naming(self, seal: Seal) -> int | None:
        """Number of the first entry that names the seal; None when none does."""
        return self._first.get(seal.seal_id)

    def revisions(self, asset: str, day: date) -> list[tuple[int, str]]:
        """(number of the entry, revision) of every publication of a partition, in order."""
        return self._revisions.get((asset, day.isoformat()), [])

    def _read_on(self) -> None:
        for entry in self._log.entries(self._place):
            self._place = self._place.behind(entry)
            self._hashes.add(self._place.hash)
            kind = kind_of(entry)
            if kind == ERASURE:
                self._erased_wallets[entry["wallet"]] = entry["record"]
                for named in ((entry["wallet"], entry["record"]), *entry["partitions"].items()):
                    self._erasures.setdefault(named, entry)
                continue
            if kind != COMMIT:
                continue  # of a newer release: it is in the chain, and nothing here is proved by it
            self._named[entry["seal_id"]] = _content(entry)
            self._first.setdefault(entry["seal_id"], self._place.number)
            self._revisions[entry["asset"], entry["day"]].append((self._place.number, entry["revision"]))


def _content(entry: LogEntry) -> tuple[str, str, str, dict[str, str]]:
    return entry["asset"], entry["day"], entry["revision"], entry["files"]
