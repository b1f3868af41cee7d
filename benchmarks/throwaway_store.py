"""A real model store for one turn: the embedded server on a folder of its own, gone afterwards."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from anomaly_assets.adapters.embedded_store import EmbeddedStore

MAX_MEMORY_MB = 16_384
"""A limit, not a reservation: far above what any competitor stores."""
_BATCH = 500


@contextmanager
def throwaway_store() -> Iterator[str]:
    """The URL of an empty store. Each turn has a fresh one, so none pays for what another left behind."""
    folder = Path(tempfile.mkdtemp(prefix="bench-store-"))
    store = EmbeddedStore(folder / "store", MAX_MEMORY_MB)
    try:
        yield store.ensure_running()
    finally:
        store.stop()
        shutil.rmtree(folder, ignore_errors=True)


def stored_bytes(url: str) -> int:
    """Memory of every key in the store, as ``MEMORY USAGE`` has it without sampling."""
    with Redis.from_url(url) as client:
        keys = list(client.scan_iter(count=_BATCH))
        total = 0
        for start in range(0, len(keys), _BATCH):
            pipeline = client.pipeline(transaction=False)
            for key in keys[start : start + _BATCH]:
                pipeline.memory_usage(key, samples=0)
            total += sum(pipeline.execute())
    return total
