"""The publication log, read once with its whole chain proved, and asked many times."""

from dataclasses import dataclass
from typing import Any

from anomaly_assets.adapters.publication_log import GENESIS, PublicationLog
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.errors import CorruptFile


@dataclass(frozen=True)
class CheckedLog:
    """Seals that the log names, by seal id: asset, day, revision, digests of files."""

    named: dict[str, tuple[str, str, str, dict[str, str]]]
    hashes: frozenset[str]
    head: str

    @classmethod
    def read(cls, log: PublicationLog) -> "CheckedLog":
        """Follow the chain to its end. Raises ``CorruptFile`` at the first broken link."""
        named, hashes, last = {}, {GENESIS}, GENESIS
        for entry in log.entries():
            last = entry["hash"]
            hashes.add(last)
            named[entry["seal_id"]] = _content(entry)
        return cls(named, frozenset(hashes), last)

    def require(self, head: str | None) -> None:
        """Raise ``CorruptFile`` unless the log grew from ``head``, which somebody kept (None: nobody did)."""
        if head is not None and head not in self.hashes:
            raise CorruptFile(
                f"the publication log, whose head is {self.head}, does not hold the entry {head}",
                expected="a log that grew from the head that was kept",
                remedy="the log was rewritten or cut: restore it from a copy that holds that entry",
            )

    def names(self, seal: Seal) -> bool:
        """Whether an entry names this very seal with its files."""
        files = {role: file.sha256 for role, file in seal.files.items()}
        return self.named.get(seal.seal_id) == (seal.asset, seal.day.isoformat(), seal.revision, files)


def _content(entry: dict[str, Any]) -> tuple[str, str, str, dict[str, str]]:
    return entry["asset"], entry["day"], entry["revision"], entry["files"]
