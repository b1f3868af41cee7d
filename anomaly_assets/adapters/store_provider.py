"""Which model store a deployment uses: the server at a URL, or the embedded one of its home."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.model_store import ModelStore
from anomaly_assets.adapters.store_absence import Absence
from anomaly_assets.settings import RedisSettings


@dataclass(frozen=True)
class StoreProvider:
    """Opens the model store when it is first needed; nothing connects before.

    Parameters
    ----------
    url : address of a server (may hold a password, so it is never shown); None: the embedded store
    compulsory : a day whose models cannot be served fails, and each attempt waits for the store anew
    absence : what this process knows of a store that does not answer
    """

    url: str | None
    key_prefix: str
    socket_timeout: float
    max_payload_bytes: int
    embedded_max_memory_mb: int
    compulsory: bool = False
    absence: Absence = field(default_factory=Absence, compare=False)

    @classmethod
    def from_settings(cls, redis: RedisSettings) -> "StoreProvider":
        """The model store of a deployment. Its address may hold a password, so Dagster never sees this object."""
        return cls(
            url=redis.url.get_secret_value() if redis.url else None,
            key_prefix=redis.key_prefix,
            socket_timeout=redis.socket_timeout,
            max_payload_bytes=redis.max_payload_bytes,
            embedded_max_memory_mb=redis.embedded_max_memory_mb,
            compulsory=redis.publication == "compulsory",
        )

    def __repr__(self) -> str:
        return f"StoreProvider({'server at a configured URL' if self.url else 'embedded'})"

    def embedded(self, home: Home) -> EmbeddedStore:
        """The embedded store of ``home``."""
        return EmbeddedStore(home.store, max_memory_mb=self.embedded_max_memory_mb)

    def resolve(self, home: Home) -> str:
        """Address of the store; starts the embedded one when no URL is configured."""
        return self.url if self.url is not None else self.embedded(home).ensure_running()

    def running(self, home: Home) -> str | None:
        """Address of the store; None when it is the embedded one and does not run or still loads: none is started.

        Raises ``StoreUnavailable`` and ``StoreRefused`` when the embedded one lives but does not answer.
        """
        if self.url is not None:
            return self.url
        status = self.embedded(home).status()
        return f"unix://{quote(str(status.socket))}" if status.running and not status.loading else None

    def for_a_look(self, seconds: float) -> "StoreProvider":
        """The same store for who only looks: waits no longer for an answer, and tells nobody that it was away."""
        return replace(self, socket_timeout=min(self.socket_timeout, seconds), absence=Absence())

    @contextmanager
    def open(self, home: Home, address: str | None = None) -> Iterator[ModelStore]:
        """A connected store, closed at the end; at ``address`` when :meth:`running` told it.

        Raises ``StoreUnavailable`` at once, without asking, when the store was found away a moment ago.
        """
        with nullcontext() if self.compulsory else self.absence.minded():
            store = ModelStore.connect(
                self.resolve(home) if address is None else address,
                key_prefix=self.key_prefix,
                home_id=home.home_id,
                socket_timeout=self.socket_timeout,
                max_payload_bytes=self.max_payload_bytes,
            )
            try:
                yield store
            finally:
                store.close()
