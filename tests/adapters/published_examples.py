"""Publications for tests; as a program, one that publishes and kills itself on demand.

``python published_examples.py URL AS_OF GENERATION FIRST_WALLET N_WALLETS [POINT NUMBER]`` prints the outcome, unless
it dies when ``POINT`` is passed for the ``NUMBER``-th time.
"""

import hashlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

from redis import Redis

from anomaly_assets.adapters.model_store import ModelStore, Publication, PublishedModel

HOME = "home of the tests"
DAY = date(2024, 7, 1)
TYPES = ("isolation_forest", "statistical")


def model(wallet_id: str, model_type: str = "statistical", *, content: str = "", size: int = 64) -> PublishedModel:
    payload = hashlib.shake_128(f"{model_type} {wallet_id} {content}".encode()).digest(size)
    model_id = hashlib.sha256(payload).hexdigest()
    recipe_id = hashlib.sha256(wallet_id.encode()).hexdigest()
    return PublishedModel(
        model_type, wallet_id, model_id, recipe_id, payload, n_transactions=len(wallet_id) + 30, format_version=1
    )


def models(first: int, n_wallets: int, *, content: str = "", size: int = 64) -> list[PublishedModel]:
    """Two models for each of the wallets ``first`` to ``first + n_wallets - 1``."""
    wallets = range(first, first + n_wallets)
    return [model(f"wallet:{w}", kind, content=content, size=size) for w in wallets for kind in TYPES]


def publication(of: Sequence[PublishedModel], as_of: date = DAY, generation: int = 1, **changed: Any) -> Publication:
    return Publication(
        **{
            "as_of": as_of,
            "generation": generation,
            "manifest": f"manifest {as_of} {generation}",
            "settings_id": "settings",
            "count": len(of),
            "window_start": as_of - timedelta(days=180),
            "window_end": as_of,
            "run_id": f"run of process {os.getpid()}",
            **changed,
        }
    )


def keys_of(client: Redis, pattern: str = "*") -> list[bytes]:
    return sorted(key for key in client.keys(pattern) if isinstance(key, bytes))


def contents(client: Redis) -> dict[bytes, Any]:
    """Every key with its value, without run ids and update times."""
    found: dict[bytes, Any] = {}
    for key in keys_of(client):
        kind = client.type(key)
        if kind == b"hash":
            found[key] = {name: value for name, value in client.hgetall(key).items() if name != b"run_id"}
        else:
            found[key] = sorted(client.zrange(key, 0, -1)) if kind == b"zset" else client.get(key)
    return found


def served(store: ModelStore, expected: Sequence[PublishedModel], as_of: date = DAY, generation: int = 1) -> bool:
    """Whether readers get exactly ``expected``, by key and by listing."""
    keys = [item.key for item in expected]
    found = store.read(keys, as_of=as_of, generation=generation)
    ids = store.published_model_ids(as_of=as_of, generation=generation)
    if found is None or ids is None:
        return False
    read = {key: (stored.model_id, stored.recipe_id, stored.payload) for key, stored in found.items()}
    assert read == {item.key: (item.model_id, item.recipe_id, item.payload) for item in expected}
    assert ids == {item.key: item.model_id for item in expected}
    assert store.count() == len(expected)
    return True


def killing_at(point: str, number: int) -> Callable[[str], None]:
    passed: Counter[str] = Counter()

    def checkpoint(name: str) -> None:
        passed[name] += 1
        if (name, passed[name]) == (point, number):
            os.kill(os.getpid(), signal.SIGKILL)

    return checkpoint


def main(url: str, as_of: str, generation: str, first: str, n_wallets: str, point: str = "", number: str = "0") -> None:
    day = date.fromisoformat(as_of)
    wanted = models(int(first), int(n_wallets), content=f"{as_of} {generation}")
    with ModelStore.connect(url, home_id=HOME) as store:
        outcome = store.publish(
            publication(wanted, day, int(generation)), wanted, now=1.0, checkpoint=killing_at(point, int(number))
        )
    sys.stdout.write(outcome.value)


if __name__ == "__main__":
    main(*sys.argv[1:])
