"""What is left of a partition's files after wallets were erased: ``erased.json`` beside the seal.

The seals stay as they were. Each file that held an erased wallet is gone; in its place lies the file with all other
rows, found by the digest that the seals name, and with it the leaves of the wallets that are gone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from anomaly_assets.adapters.seal import StoredFile
from anomaly_assets.domain.errors import CorruptFile, require_known_format
from anomaly_assets.domain.identity import JsonObject, digest_of, opened_json, sealed_json

ERASED_FILE = "erased.json"
FORMAT_VERSION = 1
RECORD_ID = "record_id"


@dataclass(frozen=True)
class Remainder:
    """What is left of one file.

    Parameters
    ----------
    file : the file that lies there now
    leaves : leaves, in the file that was sealed, of the wallets that are gone, ascending
    others : what else a newer release recorded, kept as it is
    """

    file: StoredFile
    leaves: tuple[str, ...]
    others: JsonObject = field(default_factory=dict)


@dataclass(frozen=True)
class ErasedFiles:
    """Remainders of one partition's files by the SHA-256 that seals name; empty where nothing was erased.

    ``others`` is what else a newer release recorded, kept as it is.
    """

    asset: str
    day: date
    remainders: Mapping[str, Remainder] = field(default_factory=dict)
    others: JsonObject = field(default_factory=dict)

    @property
    def content(self) -> JsonObject:
        """Everything recorded, as JSON."""
        files = {
            sha256: {"file": remainder.file.as_json(), "leaves": list(remainder.leaves), **remainder.others}
            for sha256, remainder in self.remainders.items()
        }
        known: JsonObject = {"format": FORMAT_VERSION, "asset": self.asset, "day": self.day.isoformat(), "files": files}
        return {**known, **self.others}

    @property
    def record_id(self) -> str:
        """Hex SHA-256 of the record, as the publication log names it."""
        return digest_of(self.content)

    def to_bytes(self) -> bytes:
        """The file."""
        return sealed_json(self.content, RECORD_ID)

    @classmethod
    def from_bytes(cls, content: bytes, asset: str, day: date) -> "ErasedFiles":
        """Parse and verify the file of a partition; integrity is that of the stored text.

        Raises ``CorruptFile`` when it is not what was written there, ``NeedsRelease`` when its format is newer.
        """
        try:
            value = opened_json(content, RECORD_ID)
            require_known_format(f"{asset}/{day}/{ERASED_FILE}", value.pop("format"), FORMAT_VERSION)
            remainders = {
                sha256: Remainder(StoredFile.from_json(each.pop("file")), tuple(each.pop("leaves")), each)
                for sha256, each in value.pop("files").items()
            }
            found = cls(value.pop("asset"), date.fromisoformat(value.pop("day")), remainders, value)
            intact = (found.asset, found.day) == (asset, day)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            intact = False
        if not intact:
            raise CorruptFile(
                f"{asset}/{day}/{ERASED_FILE} is not the record that was written there",
                expected="canonical JSON with the digest of its content",
                remedy="restore it from a copy; it says what is left of files from which wallets were erased",
            )
        return found
