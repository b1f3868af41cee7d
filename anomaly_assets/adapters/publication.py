"""What is published: the records of a day's publication, and the names of the keys that hold them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from anomaly_assets.domain.errors import HomeMismatch, NotServable, StoreRefused

MODELS_FORMAT = 1
"""How models lie in the store; ``models:format`` names it, and 1 where there is no such key."""
MAX_GENERATION = 2**53
"""Generations are compared as doubles inside the server."""


class PublicationState(StrEnum):
    """Whether readers may have a publication."""

    WRITING = "writing"
    COMPLETE = "complete"


class PublishOutcome(StrEnum):
    """How a publication ended, other than by an error."""

    PUBLISHED = "published"
    SUPERSEDED = "superseded"
    UNCHANGED = "unchanged"


class ModelKey(NamedTuple):
    """Which model: its type (a detector's name, without colon) and its wallet (any text)."""

    model_type: str
    wallet_id: str


@dataclass(frozen=True)
class Publication:
    """The models of one day as a whole. Of two, the one with the greater (as_of, generation) is served.

    Parameters
    ----------
    as_of : the day whose transactions the models judge
    generation : number of this training of the day, allotted under the day's lock; one generation has one content
    manifest : digest of the window the models were trained on
    settings_id : digest of fit and decision settings
    count : number of models, all types together
    window_start, window_end : first day of the window and the day after its last
    run_id : the run that publishes
    """

    as_of: date
    generation: int
    manifest: str
    settings_id: str
    count: int
    window_start: date
    window_end: date
    run_id: str

    def __post_init__(self) -> None:
        if not 0 <= self.generation < MAX_GENERATION:
            raise ValueError(f"generation {self.generation} is not in [0, 2^53)")


@dataclass(frozen=True)
class Published:
    """What the store says it holds (``models:published``); fields as in ``Publication``."""

    as_of: date
    generation: int
    manifest: str
    settings_id: str
    count: int
    state: PublicationState

    def serves(self, as_of: date, generation: int) -> bool:
        """Whether readers may have the publication (as_of, generation)."""
        return self.state is PublicationState.COMPLETE and (self.as_of, self.generation) == (as_of, generation)

    def serves_at_least(self, as_of: date, generation: int) -> bool:
        """Whether readers may have that publication or a newer one."""
        return self.state is PublicationState.COMPLETE and (self.as_of, self.generation) >= (as_of, generation)

    @classmethod
    def from_fields(cls, fields: Mapping[bytes, bytes], key: bytes) -> "Published":
        """The record in hash ``key``; raises ``StoreRefused`` when it is not one."""
        try:
            text = {name.decode(): value.decode() for name, value in fields.items()}
            return cls(
                as_of=date.fromisoformat(text["as_of"]),
                generation=int(text["generation"]),
                manifest=text["manifest"],
                settings_id=text["settings_id"],
                count=int(text["count"]),
                state=PublicationState(text["state"]),
            )
        except (KeyError, ValueError) as error:
            raise StoreRefused(
                f"key {key!r} holds no publication record: {error!r}",
                expected="as_of, generation, state, count, manifest and settings_id",
                remedy="another application may use it: set redis.key_prefix; if it is ours, delete it, publish again",
            ) from None


@dataclass(frozen=True)
class PublishedModel:
    """One model as it is published.

    Parameters
    ----------
    model_type : name of the detector
    payload : the encoded model; never decoded here
    n_transactions : rows of the wallet in the window
    format_version : version of the payload's format
    """

    model_type: str
    wallet_id: str
    model_id: str
    recipe_id: str
    payload: bytes
    n_transactions: int
    format_version: int

    @property
    def key(self) -> ModelKey:
        """Which model it is."""
        return ModelKey(self.model_type, self.wallet_id)


@dataclass(frozen=True)
class StoredModel:
    """One model as a reader gets it: bytes to be validated and decoded by the reader."""

    model_id: str
    recipe_id: str
    payload: bytes


class KeySpace:
    """Names of keys under one prefix. A model's *member* is ``{model_type}:{wallet_id}`` in UTF-8."""

    def __init__(self, prefix: str) -> None:
        if prefix.startswith("model"):
            raise NotServable(
                f"redis.key_prefix {prefix!r} begins like the keys of homes that have no prefix",
                remedy="choose another redis.key_prefix",
            )
        self._models = f"{prefix}model:".encode()
        self.updates = f"{prefix}model_updates".encode()
        self.published = f"{prefix}models:published".encode()
        self.home = f"{prefix}models:home".encode()
        self.format = f"{prefix}models:format".encode()

    @property
    def pattern(self) -> bytes:
        """A glob that matches every model's key and, the prefix being taken literally, no other home's."""
        special = b"\\*?[]^-"
        return b"".join(b"\\" + bytes([c]) if c in special else bytes([c]) for c in self._models) + b"*"

    def member(self, key: ModelKey | tuple[str, str]) -> bytes:
        """The member of ``model_updates``. Raises ``ValueError`` for a model type with a colon or none."""
        model_type, wallet_id = key
        if not model_type or ":" in model_type:
            raise ValueError(f"model type {model_type!r} is empty or holds a colon")
        return f"{model_type}:{wallet_id}".encode()

    def key_of(self, member: bytes) -> bytes:
        """The key of the hash of a member."""
        return self._models + member

    def member_of(self, key: bytes) -> bytes:
        """The member of a key that ``pattern`` matches."""
        return key.removeprefix(self._models)

    @staticmethod
    def model_key(member: bytes) -> ModelKey:
        """Which model a member names; foreign bytes are shown escaped."""
        model_type, _, wallet_id = shown(member).partition(":")
        return ModelKey(model_type, wallet_id)


def shown(text: bytes) -> str:
    """Text of a store, which anybody may have written: bytes that are no UTF-8 are escaped."""
    return text.decode("utf-8", "backslashreplace")


def home_mismatch(address: str, owner: bytes, home_id: str) -> HomeMismatch:
    """The error of a key space at ``address`` that belongs to the home ``owner``."""
    return HomeMismatch(
        f"the models at {address} belong to another home ({shown(owner)})",
        expected=f"home {home_id}",
        remedy="set redis.key_prefix to a prefix of this home's own, or use another server",
    )


def require_known_models(address: str, found: bytes | None, *, newest: int = MODELS_FORMAT) -> None:
    """Raise ``StoreRefused`` when the models at ``address`` lie there in a form that is not known here."""
    text = shown(found or b"1")
    if not text.isdecimal() or not 1 <= int(text) <= newest:
        raise StoreRefused(
            f"the models at {address} have format {text[:20]!r}",
            expected=f"format {newest} at most",
            remedy="read them with the release that published them, or publish them again with this one: "
            "anomaly-assets store publish",
        )


def require_storable(key: ModelKey, n_bytes: int, max_payload_bytes: int) -> None:
    """Raise ``NotServable`` when a payload is larger than the settings allow."""
    if n_bytes > max_payload_bytes:
        raise NotServable(
            f"the {key.model_type} model of wallet {key.wallet_id!r} has {n_bytes:,} bytes",
            expected=f"at most {max_payload_bytes:,} bytes (redis.max_payload_bytes)",
            remedy="raise redis.max_payload_bytes, or lower isolation_forest.n_estimators or max_samples",
        )


def in_batches(models: Iterable[PublishedModel], *, count: int, size: int) -> Iterator[list[PublishedModel]]:
    """``models`` in lists of at most ``count`` models and ``size`` payload bytes (one larger model goes alone)."""
    batch: list[PublishedModel] = []
    held = 0
    for model in models:
        if batch and (len(batch) >= count or held + len(model.payload) > size):
            yield batch
            batch, held = [], 0
        batch.append(model)
        held += len(model.payload)
    if batch:
        yield batch
