"""Whether a server can be trusted with models: what it evicts, what it keeps on disk, whether it takes writes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from anomaly_assets.adapters.store_connection import call
from anomaly_assets.domain.errors import StoreRefused

POLICY_REMEDY = (
    "run `CONFIG SET maxmemory-policy noeviction` on the server and put the line `maxmemory-policy noeviction` "
    "into its configuration file"
)
PERSISTENCE_REMEDY = (
    "run `CONFIG SET appendonly yes` on the server and put the line `appendonly yes` into its configuration file; "
    "until then a restart loses every model and the next run fills the store from the archive"
)
CROWDED_SHARE = 0.9


class Severity(StrEnum):
    """What a problem means for a publication."""

    REFUSE = "refuse"
    WARN = "warn"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a server, and what to do."""

    severity: Severity
    found: str
    remedy: str


@dataclass(frozen=True)
class StoreHealth:
    """What a server says about itself.

    Parameters
    ----------
    kind, version : what it calls itself; nothing is decided by them
    mode : ``standalone``, ``sentinel`` or ``cluster``
    role : ``master`` (takes writes) or ``slave`` (a replica)
    eviction_policy : ``maxmemory-policy``; None when the server does not say
    max_memory_bytes, used_memory_bytes : limit (0: none) and use
    append_only : whether the append-only file is on
    snapshots : whether it saves snapshots by itself; None when this user may not ask
    """

    kind: str
    version: str
    mode: str
    role: str
    eviction_policy: str | None
    max_memory_bytes: int
    used_memory_bytes: int
    append_only: bool
    snapshots: bool | None

    def problems(self) -> list[Problem]:
        """Everything wrong, refusals first."""
        return [*self._refusals(), *self._warnings()]

    def require_publishable(self) -> None:
        """Raise ``StoreRefused`` with every reason not to publish here."""
        reasons = self._refusals()
        if reasons:
            raise StoreRefused(
                "; ".join(problem.found for problem in reasons),
                expected="a primary without cluster mode whose maxmemory-policy is noeviction",
                remedy="; ".join(problem.remedy for problem in reasons),
            )

    def _refusals(self) -> list[Problem]:
        problems = []
        if self.eviction_policy != "noeviction":
            found = f"maxmemory-policy is {self.eviction_policy or 'unknown'}: the server may drop models silently"
            problems.append(Problem(Severity.REFUSE, found, POLICY_REMEDY))
        if self.role != "master":
            remedy = "name the primary in REDIS_URL or redis.url"
            problems.append(Problem(Severity.REFUSE, f"the server is a replica (role {self.role})", remedy))
        if self.mode == "cluster":
            remedy = "use a server without cluster mode: a publication spans all keys"
            problems.append(Problem(Severity.REFUSE, "the server runs in cluster mode", remedy))
        return problems

    def _warnings(self) -> list[Problem]:
        problems = []
        if not self.append_only and not self.snapshots:
            unknown = "" if self.snapshots is False else " (whether it saves snapshots could not be read)"
            found = f"the server keeps nothing on disk: appendonly is no{unknown}"
            problems.append(Problem(Severity.WARN, found, PERSISTENCE_REMEDY))
        if self.max_memory_bytes and self.used_memory_bytes > CROWDED_SHARE * self.max_memory_bytes:
            found = f"{self.used_memory_bytes:,} of {self.max_memory_bytes:,} bytes of maxmemory are used"
            problems.append(Problem(Severity.WARN, found, "raise maxmemory before it is full and refuses writes"))
        return problems


def examine(client: Redis) -> StoreHealth:
    """Ask a server about itself with INFO, and with CONFIG where this user may.

    Raises what the client raises when INFO itself is not answered.
    """
    info = call(client, "INFO")
    kind = str(info.get("server_name", "redis"))
    snapshots = _config(client, "save")
    return StoreHealth(
        kind=kind,
        version=str(info.get(f"{kind}_version", info.get("redis_version", "unknown"))),
        mode=str(info.get("server_mode", info.get("redis_mode", "standalone"))),
        role=str(info.get("role", "unknown")),
        eviction_policy=_text(info.get("maxmemory_policy")) or _config(client, "maxmemory-policy"),
        max_memory_bytes=int(info.get("maxmemory", 0)),
        used_memory_bytes=int(info.get("used_memory", 0)),
        append_only=bool(int(info.get("aof_enabled", 0))),
        snapshots=None if snapshots is None else bool(snapshots),
    )


def _config(client: Redis, name: str) -> str | None:
    """A configuration value, None where CONFIG is denied, renamed or does not know it."""
    try:
        values: dict[Any, Any] = call(client, "CONFIG GET", name)
    except ResponseError:
        return None
    return _text({_text(key): value for key, value in values.items()}.get(name))


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else str(value)
