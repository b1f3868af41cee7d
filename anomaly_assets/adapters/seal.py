"""The seal of a stored partition: what its files are, what they were made from and what the checks said.

A partition without a good seal does not exist for readers. A seal carries no run and no clock.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.identity import canonical_json, digest_of

FORMAT_VERSION = 1


@dataclass(frozen=True)
class StoredFile:
    """One file of a partition.

    Parameters
    ----------
    name : its name beside the seal
    sha256, n_bytes, n_rows : digest and size of the file, and its rows
    root : root over the leaves of its wallets (``domain.wallet_leaves``); None for a table without wallets
    """

    name: str
    sha256: str
    n_bytes: int
    n_rows: int
    root: str | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON form; ``StoredFile(**value)`` is the inverse."""
        return {key: value for key, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Seal:
    """What makes staged files a partition.

    Parameters
    ----------
    asset, day : which partition
    revision : hex digest of the content; equal content, equal revision
    files : role ("transactions", "quarantine", ...) to file
    inputs : what it was made from, JSON
    counts : numbers worth keeping (ledger and the like), JSON
    checks : verdict of every check that was evaluated on the staged files, JSON
    settings_id, generation : of detection assets
    """

    asset: str
    day: date
    revision: str
    files: Mapping[str, StoredFile]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, Any] = field(default_factory=dict)
    settings_id: str | None = None
    generation: int | None = None

    @property
    def content(self) -> dict[str, Any]:
        """Everything sealed, as JSON."""
        files = {role: file.as_json() for role, file in self.files.items()}
        return {"format": FORMAT_VERSION, **vars(self), "day": self.day.isoformat(), "files": files}

    @property
    def seal_id(self) -> str:
        """Hex SHA-256 of the sealed content."""
        return digest_of(self.content)

    @property
    def n_bytes(self) -> int:
        """Size of all its files."""
        return sum(file.n_bytes for file in self.files.values())

    def to_bytes(self) -> bytes:
        """The seal file."""
        content = self.content
        return canonical_json({**content, "seal_id": digest_of(content)}) + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> "Seal":
        """Parse and verify a seal file.

        Raises ``CorruptFile`` when its bytes are not what was sealed, ``NotSealed`` when a blocking check had failed.
        """
        try:
            value = json.loads(content)
            claimed, version = value.pop("seal_id"), value.pop("format")
            if version != FORMAT_VERSION:
                raise CorruptFile(
                    f"{name} has format {version!r}",
                    expected=f"format {FORMAT_VERSION}",
                    remedy="use the version of anomaly_assets that wrote it, or materialize this partition again",
                )
            seal = cls(
                **{
                    **value,
                    "day": date.fromisoformat(value["day"]),
                    "files": {role: StoredFile(**file) for role, file in value["files"].items()},
                }
            )
            intact = seal.to_bytes() == content
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CorruptFile(f"{name} is not a seal: {error}", remedy="materialize this partition again") from None
        if not intact:
            raise CorruptFile(
                f"{name} was changed after sealing (digest {seal.seal_id})",
                expected=f"the bytes that were sealed, digest {claimed}",
                remedy="materialize this partition again",
            )
        seal.refuse_bad_verdicts()
        return seal

    def refuse_bad_verdicts(self) -> None:
        """Raise ``NotSealed`` when a blocking check of this seal failed."""
        failed = [
            name
            for name, verdict in self.checks.items()
            if verdict["blocking"] and not verdict["passed"] and verdict["severity"] == "ERROR"
        ]
        if failed:
            raise NotSealed(
                f"{self.asset} of {self.day} was sealed with failed checks {failed}",
                remedy="materialize this partition again",
            )
