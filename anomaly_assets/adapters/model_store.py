"""The model store: a day's models in Redis, published whole and read only when whole."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from redis import Redis

from anomaly_assets.adapters.model_publisher import Checkpoint, ModelPublisher, scan_members
from anomaly_assets.adapters.publication import (
    KeySpace,
    ModelKey,
    Publication,
    Published,
    PublishedModel,
    PublishOutcome,
    StoredModel,
    home_mismatch,
    require_known_models,
    shown,
)
from anomaly_assets.adapters.store_connection import Patience, StoreConnection, call_each, is_wrong_type
from anomaly_assets.adapters.store_health import StoreHealth, examine

__all__ = ["ModelKey", "ModelStore", "Publication", "PublishOutcome", "Published", "PublishedModel", "StoredModel"]

_Found = TypeVar("_Found")

HEALTH_SECONDS = 30.0
"""How long a server that was found publishable is not asked again."""
READ_BATCH = 100


class ModelStore:
    """Models under one key prefix of one server, bound to one home. Opens its sockets when first used.

    Every operation raises ``StoreUnavailable`` when the server does not answer within bounded patience (a rerun may
    help), ``StoreRefused`` when it must not or may not be used as it is, ``HomeMismatch`` when the keys belong to
    another home. A failed read is never an empty answer.
    """

    def __init__(self, connection: StoreConnection, keys: KeySpace, *, home_id: str, max_payload_bytes: int) -> None:
        self._connection, self._keys, self._home_id = connection, keys, home_id
        self._publisher = ModelPublisher(connection, keys, home_id=home_id, max_payload_bytes=max_payload_bytes)
        self._found_healthy_at: float | None = None

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        home_id: str,
        key_prefix: str = "",
        socket_timeout: float = 10.0,
        max_payload_bytes: int = 16 * 1024 * 1024,
    ) -> "ModelStore":
        """The store at ``url`` (``redis://``, ``rediss://``, ``unix://``).

        Parameters
        ----------
        home_id : the home whose models these are; the first publication binds the prefix to it
        key_prefix : put before every key
        socket_timeout : seconds before one call is given up; one operation loses at most about four of them
        max_payload_bytes : a larger payload is refused before it is sent
        """
        connection = StoreConnection(url, socket_timeout=socket_timeout)
        return cls(connection, KeySpace(key_prefix), home_id=home_id, max_payload_bytes=max_payload_bytes)

    def __repr__(self) -> str:
        return f"ModelStore({self.address})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def address(self) -> str:
        """Where the server is, without user and password."""
        return self._connection.address

    def close(self) -> None:
        """Close every socket."""
        self._connection.close()

    def health(self) -> StoreHealth:
        """What the server says about itself, asked now."""
        return self._connection.ask(examine, self._connection.patience())

    def publish(
        self,
        publication: Publication,
        models: Iterable[PublishedModel],
        *,
        now: float,
        checkpoint: Checkpoint = lambda _: None,
    ) -> PublishOutcome:
        """Make ``models`` what readers get, all at once, and delete every other model under the prefix.

        Parameters
        ----------
        models : exactly ``publication.count`` models, no two of one key; read once, in bounded batches. A sequence is
            checked for oversized payloads before anything is begun, an iterator as it goes
        now : update time written to ``model_updates``, seconds since the epoch
        checkpoint : called at ``begin``, ``batch``, ``delete`` and ``complete``

        Returns ``PUBLISHED``; ``UNCHANGED`` when exactly this was served already; ``SUPERSEDED`` when a newer
        (as_of, generation) was there before or came in between, whose models are then untouched.

        Raises ``ModelConflict`` when this (as_of, generation) was published with other models, and what the class
        says. After any error the publication is not complete, unless it was complete before and unchanged.
        """
        self._require_publishable()
        return self._publisher.publish(publication, models, now=now, checkpoint=checkpoint)

    def erase_wallets(self, is_erased: Callable[[str], bool]) -> int:
        """Delete every model of the wallets whose id ``is_erased`` names, whatever publication it belongs to.

        Looks through all keys; returns how many models there were. A server of its own forgets them on disk as well;
        another one does so when it next rewrites its files.
        """
        patience = self._connection.patience()
        self._published(patience)  # keys of another home are left alone
        members = {
            member
            for some in scan_members(self._connection, self._keys, patience, listed=True)
            for member in some
            if is_erased(KeySpace.model_key(member).wallet_id)
        }
        return self._publisher.erase(sorted(map(KeySpace.model_key, members)))

    def published(self) -> Published | None:
        """The publication the store holds, complete or being written; None when it holds none."""
        return self._published(self._connection.patience())

    def patience(self) -> Patience:
        """Fresh patience for an operation of many reads."""
        return self._connection.patience()

    def read(
        self, keys: Sequence[tuple[str, str]], *, as_of: date, generation: int, patience: Patience | None = None
    ) -> dict[ModelKey, StoredModel] | None:
        """The models of ``keys``, (model_type, wallet_id), that the publication (as_of, generation) has.

        None when the store does not serve that publication, or stopped serving it meanwhile: the archive has it then.
        A key without a model in the publication is absent from the answer. Payloads come as stored, not validated.
        ``patience`` is that of an operation of many reads; by default each has its own.
        """
        patience = patience or self._connection.patience()
        return self._while_served(as_of, generation, patience, partial(self._read_all, keys, as_of, generation))

    def published_model_ids(self, *, as_of: date, generation: int) -> dict[ModelKey, str] | None:
        """The model id of every model the publication (as_of, generation) has; None as for ``read``."""
        patience = self._connection.patience()
        return self._while_served(as_of, generation, patience, partial(self._all_ids, as_of, generation))

    def count(self) -> int:
        """Number of models listed in ``model_updates``, of whatever publication."""
        return int(self._connection.command(("ZCARD", self._keys.updates), self._connection.patience()))

    def _require_publishable(self) -> None:
        now = time.monotonic()
        if self._found_healthy_at is None or now - self._found_healthy_at > HEALTH_SECONDS:
            self.health().require_publishable()
            self._found_healthy_at = now

    def _while_served(
        self, as_of: date, generation: int, patience: Patience, read: Callable[[Patience], _Found]
    ) -> _Found | None:
        """What ``read`` finds, if the publication is served before and after."""
        if not self._serves(as_of, generation, patience):
            return None
        found = read(patience)
        return found if self._serves(as_of, generation, patience) else None

    def _serves(self, as_of: date, generation: int, patience: Patience) -> bool:
        publication = self._published(patience)
        return publication is not None and publication.serves(as_of, generation)

    def _published(self, patience: Patience) -> Published | None:
        asked = [("GET", self._keys.home), ("GET", self._keys.format), ("HGETALL", self._keys.published)]
        owner, found_format, fields = self._ask_each(asked, patience)
        if owner is not None and owner != self._home_id.encode():
            raise home_mismatch(self.address, owner, self._home_id)
        if owner is None or not fields:
            return None
        require_known_models(self.address, found_format)
        return Published.from_fields(fields, self._keys.published)

    def _read_all(
        self, keys: Sequence[tuple[str, str]], as_of: date, generation: int, patience: Patience
    ) -> dict[ModelKey, StoredModel]:
        fields = ("model_id", "recipe_id", "payload")
        members = [self._keys.member(key) for key in keys]
        found = self._values(members, fields, as_of, generation, patience)
        return {
            ModelKey(*key): StoredModel(shown(values[0]), shown(values[1]), values[2])
            for key, member in zip(keys, members, strict=True)
            if (values := found.get(member)) is not None
        }

    def _all_ids(self, as_of: date, generation: int, patience: Patience) -> dict[ModelKey, str]:
        ids: dict[ModelKey, str] = {}
        for members in scan_members(self._connection, self._keys, patience):
            found = self._values(members, ("model_id",), as_of, generation, patience)
            ids |= {KeySpace.model_key(member): shown(values[0]) for member, values in found.items()}
        return ids

    def _values(
        self, members: Sequence[bytes], fields: Sequence[str], as_of: date, generation: int, patience: Patience
    ) -> Mapping[bytes, Sequence[bytes]]:
        """``fields`` of those models that carry the publication's own (as_of, generation) and have all of them."""
        order = [as_of.isoformat().encode(), str(generation).encode()]
        found = {}
        for start in range(0, len(members), READ_BATCH):
            batch = members[start : start + READ_BATCH]
            commands: list[list[bytes | str]] = [
                ["HMGET", self._keys.key_of(member), "as_of", "generation", *fields] for member in batch
            ]
            for member, values in zip(batch, self._ask_each(commands, patience, allow_foreign=True), strict=True):
                if values is not None and values[:2] == order and None not in values:
                    found[member] = values[2:]
        return found

    def _ask_each(
        self, commands: Sequence[Sequence[bytes | str]], patience: Patience, *, allow_foreign: bool = False
    ) -> list[Any]:
        """Answers in order; a key of another type answers None where ``allow_foreign``: it is no model of ours."""

        def ask(client: Redis) -> list[Any]:
            answers = call_each(client, commands)
            for answer in answers:
                if isinstance(answer, Exception) and not (allow_foreign and is_wrong_type(answer)):
                    raise answer
            return [None if isinstance(answer, Exception) else answer for answer in answers]

        return self._connection.ask(ask, patience)
