"""What is left of a partition's files after wallets were erased: ``erased.json`` beside the seal.

The seals stay as they were. Each file that held an erased wallet is gone; in its place lies the file with all other
rows, found by the digest that the seals name, and with it the leaves of the wallets that are gone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from anomaly_assets.adapters.seal import StoredFile
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.identity import canonical_json, digest_of

ERASED_FILE = "erased.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Remainder:
    """What is left of one file.

    Parameters
    ----------
    file : the file that lies there now
    leaves : leaves, in the file that was sealed, of the wallets that are gone, ascending
    """

    file: StoredFile
    leaves: tuple[str, ...]


@dataclass(frozen=True)
class ErasedFiles:
    """Remainders of one partition's files by the SHA-256 that seals name; empty where nothing was erased."""

    asset: str
    day: date
    remainders: Mapping[str, Remainder] = field(default_factory=dict)

    @property
    def content(self) -> dict[str, Any]:
        """Everything recorded, as JSON."""
        files = {
            sha256: {"file": remainder.file.as_json(), "leaves": list(remainder.leaves)}
            for sha256, remainder in self.remainders.items()
        }
        return {"format": FORMAT_VERSION, "asset": self.asset, "day": self.day.isoformat(), "files": files}

    @property
    def record_id(self) -> str:
        """Hex SHA-256 of the record, as the publication log names it."""
        return digest_of(self.content)

    def to_bytes(self) -> bytes:
        """The file."""
        return canonical_json({**self.content, "record_id": self.record_id}) + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes, asset: str, day: date) -> "ErasedFiles":
        """Parse and verify the file of a partition. Raises ``CorruptFile`` when it is not what was written there."""
        try:
            value = json.loads(content)
            found = cls(
                value["asset"],
                date.fromisoformat(value["day"]),
                {
                    sha256: Remainder(StoredFile(**each["file"]), tuple(each["leaves"]))
                    for sha256, each in value["files"].items()
                },
            )
            intact = found.to_bytes() == content and (found.asset, found.day) == (asset, day)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            intact = False
        if not intact:
            raise CorruptFile(
                f"{asset}/{day}/{ERASED_FILE} is not the record that was written there",
                expected="canonical JSON with the digest of its content",
                remedy="restore it from a copy; it says what is left of files from which wallets were erased",
            )
        return found
