"""Writing a day's models so that readers get all of them or none, whatever dies in between.

Four scripts run inside the server, each atomic, each checking first that the publication is still this one's:
begin (state writing), write (batch after batch), delete (what belongs to other days), complete. Every one of them
may run twice with the same effect, so an attempt whose outcome is unknown is simply made again, and a publication
that was killed is resumed by the next run.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from anomaly_assets.adapters.publication import (
    MODELS_FORMAT,
    KeySpace,
    ModelKey,
    Publication,
    PublishedModel,
    PublishOutcome,
    home_mismatch,
    in_batches,
    require_storable,
    shown,
)
from anomaly_assets.adapters.store_connection import Patience, StoreConnection
from anomaly_assets.domain.errors import ModelConflict, NotServable, StoreRefused, StoreUnavailable, Superseded

BATCH_MODELS = 200
BATCH_BYTES = 8 * 1024 * 1024
DELETE_BATCH = 500
SCAN_COUNT = 1000
REWRITE_SECONDS, REWRITE_POLL_SECONDS = 120.0, 0.05
"""How long an erasure waits until the server has written its files without what was erased."""

Checkpoint = Callable[[str], None]
"""Called at ``begin``, ``batch`` (after each), ``delete`` (after each batch of deletions) and ``complete``."""

_Item = TypeVar("_Item")


class ModelPublisher:
    """Publishes to one key space of one server for one home."""

    def __init__(self, connection: StoreConnection, keys: KeySpace, *, home_id: str, max_payload_bytes: int) -> None:
        self._connection, self._keys = connection, keys
        self._home_id, self._max_payload_bytes = home_id, max_payload_bytes

    def publish(
        self, publication: Publication, models: Iterable[PublishedModel], *, now: float, checkpoint: Checkpoint
    ) -> PublishOutcome:
        """See ``ModelStore.publish``."""
        writer = _Writer(self._connection, self._keys, publication, self._home_id)
        if isinstance(models, Sequence):
            for model in models:  # nothing is begun that cannot be finished
                self._require_small(model)
        try:
            changed = not writer.begin()
            checkpoint("begin")
            wanted: set[bytes] = set()
            for batch in in_batches(map(self._require_small, models), count=BATCH_MODELS, size=BATCH_BYTES):
                changed |= writer.write(batch, self._add_members(wanted, batch), now)
                checkpoint("batch")
            if len(wanted) != publication.count:
                raise ValueError(f"publication of {publication.count} models was given {len(wanted)}")
            for strays in _batched(writer.strays(wanted), DELETE_BATCH):
                changed |= writer.delete(strays)
                checkpoint("delete")
            writer.complete()
            checkpoint("complete")
        except Superseded:
            return PublishOutcome.SUPERSEDED
        return PublishOutcome.PUBLISHED if changed else PublishOutcome.UNCHANGED

    def erase(self, keys: Sequence[ModelKey]) -> int:
        """Delete these models; see ``ModelStore.erase_wallets``."""
        members = [self._keys.member(key) for key in keys]
        names = [self._keys.published, self._keys.updates, *(self._keys.key_of(member) for member in members)]
        script = (Path(__file__).parent / "publication_erase.lua").read_bytes()
        patience = self._connection.patience()
        deleted = int(self._connection.command(("EVAL", script, len(names), *names, *members), patience))
        with suppress(StoreRefused):  # who may not ask leaves it to the server's own time
            self._rewrite_files()
        return deleted

    def _rewrite_files(self) -> None:
        """Let the server write its append-only file anew, as far as it has one and lets us ask; wait for it."""
        patience, deadline = self._connection.patience(), time.monotonic() + REWRITE_SECONDS
        asked = False
        while time.monotonic() < deadline:
            found = self._connection.ask(lambda client: client.info("persistence"), patience)
            if not found.get("aof_enabled"):
                return
            if not (found.get("aof_rewrite_in_progress") or found.get("aof_rewrite_scheduled")):
                if asked:
                    return
                # one that was under way may have begun before the deletion: another one is asked for
                self._connection.command(("BGREWRITEAOF",), patience)
                asked = True
            time.sleep(REWRITE_POLL_SECONDS)

    def _require_small(self, model: PublishedModel) -> PublishedModel:
        require_storable(model.key, len(model.payload), self._max_payload_bytes)
        return model

    def _add_members(self, wanted: set[bytes], batch: Sequence[PublishedModel]) -> list[bytes]:
        members = [self._keys.member(model.key) for model in batch]
        for member in members:
            if member in wanted:
                raise ValueError(f"two models for {KeySpace.model_key(member)}")
            wanted.add(member)
        return members


class _Writer:
    """The four scripts, bound to one publication; raises ``Superseded`` when a newer one has begun."""

    def __init__(self, connection: StoreConnection, keys: KeySpace, publication: Publication, home_id: str) -> None:
        self._connection, self._keys, self._publication, self._home_id = connection, keys, publication, home_id
        self._patience: Patience = connection.patience()

    def begin(self) -> bool:
        """Claim the key space; True when this very publication is complete there already."""
        of = self._publication
        values: list[bytes | str | float] = [self._home_id, of.count, of.manifest, of.settings_id, MODELS_FORMAT]
        word, *rest = self._run("begin", [self._keys.home, self._keys.format], values)
        if word == b"HOME":
            raise home_mismatch(self._connection.address, rest[0], self._home_id)
        if word == b"FOREIGN":
            raise NotServable(
                f"key {shown(rest[0])} at {self._connection.address} does not hold what this project stores there",
                remedy="another application uses it: set redis.key_prefix to a prefix of your own",
            )
        if word == b"CONFLICT":
            raise ModelConflict(
                f"generation {of.generation} of {of.as_of} is already published with another content",
                expected="one content (count, manifest, settings) per generation",
                remedy="allot a new generation; if the content should be the same, report it",
            )
        return bool(word == b"COMPLETE")

    def write(self, batch: Sequence[PublishedModel], members: Sequence[bytes], now: float) -> bool:
        """Write a batch as one; whether anything was not there already."""
        of = self._publication
        window = (of.window_start.isoformat(), of.window_end.isoformat())
        values: list[bytes | str | float] = [repr(float(now)), of.settings_id, *window, of.run_id]
        for member, model in zip(members, batch, strict=True):
            values += [member, model.payload, model.model_id, model.recipe_id]
            values += [model.n_transactions, model.format_version]
        word, *rest = self._run("write", [self._keys.key_of(member) for member in members], values)
        if word == b"CONFLICT":
            self._raise_conflict(*rest)
        return bool(rest[0])

    def strays(self, wanted: set[bytes]) -> Iterator[bytes]:
        """Members of models in the store, by key or by listing, that are not ``wanted``."""
        for found in scan_members(self._connection, self._keys, self._patience, listed=True):
            yield from (member for member in found if member not in wanted)

    def delete(self, members: Sequence[bytes]) -> bool:
        """Delete these models; whether there were any."""
        return bool(self._run("delete", [self._keys.key_of(member) for member in members], members)[1])

    def complete(self) -> None:
        """Let readers have it."""
        word, *rest = self._run("complete", [], [self._publication.count])
        if word == b"SHORT":
            raise StoreUnavailable(
                f"the model store lists {rest[0]} of {self._publication.count} models after all were written",
                remedy="see what else writes to this server, then run again",
            )

    def _run(self, name: str, keys: Sequence[bytes], values: Sequence[bytes | str | float]) -> list[Any]:
        all_keys = [self._keys.published, self._keys.updates, *keys]
        order: list[str | int] = [self._publication.as_of.isoformat(), self._publication.generation]
        words: list[bytes | str | float] = ["EVAL", _script(name), len(all_keys), *all_keys, *order, *values]
        answer: list[Any] = self._connection.command(words, self._patience)
        if answer[0] == b"SUPERSEDED":
            raise Superseded(f"the publication of {shown(answer[1])}, generation {shown(answer[2])}, is newer")
        if answer[0] == b"LOST":
            raise StoreUnavailable(
                f"the record of the publication of {order[0]} vanished from {self._connection.address} while written",
                expected="models:published to stay this publication's or become a newer one's",
                remedy="run again: it starts over from the archive",
            )
        return answer

    def _raise_conflict(self, member: bytes, model_id: bytes) -> NoReturn:
        of = self._publication
        model_type, wallet_id = KeySpace.model_key(member)
        raise ModelConflict(
            f"generation {of.generation} of {of.as_of} holds another {model_type} model of wallet {wallet_id!r} "
            f"({shown(model_id)})",
            expected="one model per recipe, so the same ids whenever a generation is published again",
            remedy="verify both models; nothing was overwritten",
        )


def scan_members(
    connection: StoreConnection, keys: KeySpace, patience: Patience, *, listed: bool = False
) -> Iterator[list[bytes]]:
    """Members of every model's key in the store, in lists; a member may come twice.

    ``listed``: also those that are listed in ``model_updates`` without a key.
    """
    cursor = -1
    while cursor != 0:
        words = ("SCAN", max(cursor, 0), "MATCH", keys.pattern, "COUNT", SCAN_COUNT)
        cursor, found = connection.command(words, patience)
        yield [keys.member_of(key) for key in found]
    cursor = -1 if listed else 0
    while cursor != 0:
        listing = ("ZSCAN", keys.updates, max(cursor, 0), "COUNT", SCAN_COUNT)
        cursor, scored = connection.command(listing, patience)
        yield [member for member, _ in scored]


@cache
def _script(name: str) -> bytes:
    folder = Path(__file__).parent
    return (folder / "publication.lua").read_bytes() + (folder / f"publication_{name}.lua").read_bytes()


def _batched(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
