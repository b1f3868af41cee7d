"""The seal of a stored partition: what its files are, what they were made from and what the checks said.

A partition without a good seal does not exist for readers. A seal carries no run and no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Any

from anomaly_assets.domain.errors import CorruptFile, NotSealed, require_known_format
from anomaly_assets.domain.identity import ChangedContent, Json, JsonObject, digest_of, opened_json, sealed_json
from anomaly_assets.domain.layouts import require_known_layout
from anomaly_assets.domain.lineage import Edge, edges_of
from anomaly_assets.domain.verdicts import Verdict

FORMAT_VERSION = 2
"""Newest format: *1* has no typed lineage and no layout, *2* may have both."""
SEAL_ID = "seal_id"


@dataclass(frozen=True)
class StoredFile:
    """One file of a partition.

    Parameters
    ----------
    name : its name beside the seal
    sha256, n_bytes, n_rows : digest and size of the file, and its rows
    root : root over the leaves of its wallets (``domain.wallet_leaves``); None for a table without wallets
    others : what else is recorded of it, by a newer release; kept as it is
    """

    name: str
    sha256: str
    n_bytes: int
    n_rows: int
    root: str | None = None
    others: JsonObject = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "StoredFile":
        """The file that :meth:`as_json` described."""
        known, others = _split(cls, value)
        return cls(**known, others=others)

    def as_json(self) -> JsonObject:
        """JSON form."""
        known = {key: value for key, value in vars(self).items() if key != "others" and value is not None}
        return {**known, **self.others}


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
    made_from : typed lineage but for the days of a manifest; None in format 1
    layout : of its tables; 1 is left out
    others : what else is sealed, by a newer release; kept as it is
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
    made_from: tuple[Edge, ...] | None = None
    layout: int = 1
    others: JsonObject = field(default_factory=dict)

    @property
    def content(self) -> JsonObject:
        """Everything sealed, as JSON: what later formats added is left out at its neutral value."""
        always = ("asset", "revision", "inputs", "counts", "checks", "settings_id", "generation")
        added: dict[str, Json] = {}
        if self.made_from is not None:
            added["made_from"] = [edge.as_json() for edge in self.made_from]
        if self.layout != 1:
            added["layout"] = self.layout
        return {
            "format": FORMAT_VERSION if added else 1,
            **{name: getattr(self, name) for name in always},
            "day": self.day.isoformat(),
            "files": {role: file.as_json() for role, file in self.files.items()},
            **added,
            **self.others,
        }

    @property
    def seal_id(self) -> str:
        """Hex SHA-256 of the sealed content."""
        return digest_of(self.content)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What the checks said of the files when they were sealed."""
        return tuple(Verdict.from_json(check, value) for check, value in self.checks.items())

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Everything it was made from directly, also where the seal is older than typed lineage."""
        return edges_of(self.asset, self.day, self.inputs, self.settings_id, self.made_from)

    @property
    def n_bytes(self) -> int:
        """Size of all its files."""
        return sum(file.n_bytes for file in self.files.values())

    def to_bytes(self) -> bytes:
        """The seal file."""
        return sealed_json(self.content, SEAL_ID)

    def like(self, older: "Seal") -> "Seal":
        """This seal without the lineage that ``older``, one of format 1, could not tell: is it the same otherwise?"""
        return self if older.made_from is not None else replace(self, made_from=None)

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> "Seal":
        """Parse and verify a seal file; integrity is that of the stored text, whatever release wrote it.

        Raises ``CorruptFile`` when its bytes are not what was sealed, ``NotSealed`` when a blocking check had failed,
        and ``NeedsRelease`` when a newer release sealed it in a form that is not known here.
        """
        try:
            value = opened_json(content, SEAL_ID)
            version = value.pop("format")
            require_known_format(name, version, FORMAT_VERSION)
            known, others = _split(cls, value)
            require_known_layout(known["asset"], known.get("layout", 1))
            made_from = known.get("made_from")
            seal = cls(
                **{
                    **known,
                    "day": date.fromisoformat(known["day"]),
                    "files": {role: StoredFile.from_json(file) for role, file in known["files"].items()},
                    "made_from": None if made_from is None else tuple(Edge(*edge) for edge in made_from),
                    "others": others,
                }
            )
            if seal.content["format"] != version:  # of a newer release that added no more than keys
                seal = replace(seal, others={**others, "format": version})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            what = "was changed after sealing" if isinstance(error, ChangedContent) else "is not a seal"
            raise CorruptFile(
                f"{name} {what}: {error}",
                expected="the bytes that were sealed",
                remedy="materialize this partition again",
            ) from None
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


def _split(kind: type[Any], value: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of a JSON object the fields of ``kind``, and what it holds beside them."""
    names = {each.name for each in fields(kind)} - {"others"}
    known = {key: item for key, item in value.items() if key in names}
    return known, {key: item for key, item in value.items() if key not in names}
