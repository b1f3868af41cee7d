"""One Redis-protocol server: its address without secrets, bounded patience, and its errors in this project's words."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from redis import Redis, RedisError
from redis import exceptions as redis_errors
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry

from anomaly_assets.domain.errors import AnomalyAssetsError, NotServable, StoreRefused, StoreUnavailable

RETRIES = 5
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0
LOST_TIMEOUTS = 3
"""One operation gives up once its failed attempts, pauses and slow answers took this many socket time-outs."""
PROMPT_SECONDS, PROMPT_SHARE, BYTES_PER_TIMEOUT = 0.1, 0.1, 8 * 1024 * 1024
"""A prompt answer takes a tenth of a second or of a time-out, and a whole time-out more for so many bytes to send."""

_Answer = TypeVar("_Answer")

_PASSING = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.TryAgainError,
    redis_errors.MasterDownError,
)
_PASSING_CODES = ("BUSY", "NOREPLICAS", "MASTERDOWN", "LOADING", "TRYAGAIN")
_DENIED = (
    redis_errors.AuthenticationError,
    redis_errors.AuthenticationWrongNumberOfArgsError,
    redis_errors.AuthorizationError,
)


@dataclass
class Patience:
    """What one operation may still lose to a bad server: a number of retries and a time.

    Of attempts that succeed, the time beyond that of a prompt answer is lost.
    """

    seconds_left: float
    retries_left: int = RETRIES

    def pause(self, lost_seconds: float) -> float | None:
        """Seconds to wait before the next attempt, with full jitter; None when it is time to give up."""
        self.seconds_left -= lost_seconds
        if self.retries_left <= 0 or self.seconds_left <= 0:
            return None
        ceiling: float = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (RETRIES - self.retries_left))
        pause = ceiling * secrets.randbelow(1000) / 1000
        self.retries_left -= 1
        self.seconds_left -= pause
        return pause


class StoreConnection:
    """A lazily opened connection to the server at ``url``; nothing of it shows the password.

    Parameters
    ----------
    url : ``redis://``, ``rediss://`` or ``unix://`` address
    socket_timeout : seconds before one call is given up

    Raises ``NotServable`` for an address that is none.
    """

    def __init__(self, url: str, *, socket_timeout: float) -> None:
        try:
            pool = ConnectionPool.from_url(url)
            _require_place(url, pool)
        except (ValueError, TypeError):
            raise NotServable(  # the parser's own words can hold a part of the password
                "the model store's address cannot be read",
                expected="redis://[user:password@]host:port/db, rediss://..., or unix:///path",
                remedy="correct REDIS_URL or redis.url; special characters of a password are written percent-encoded",
            ) from None
        self._password = str(pool.connection_kwargs.get("password") or "")
        pool.connection_kwargs.update(
            socket_timeout=socket_timeout,
            socket_connect_timeout=socket_timeout,
            retry=Retry(NoBackoff(), 0),  # retries are ours, so that their sum is bounded
            decode_responses=False,
            protocol=2,
        )
        if "path" in pool.connection_kwargs:
            pool.connection_kwargs.pop("socket_connect_timeout")
        self._pool, self._client = pool, Redis(connection_pool=pool)
        self._socket_timeout = socket_timeout

    def __repr__(self) -> str:
        return f"StoreConnection({self.address})"

    @property
    def address(self) -> str:
        """Where the server is, without user and password."""
        where = self._pool.connection_kwargs
        if "path" in where:
            return f"unix://{quote(where['path'])}"
        scheme = "rediss" if "SSL" in self._pool.connection_class.__name__ else "redis"
        return f"{scheme}://{where.get('host', 'localhost')}:{where.get('port', 6379)}/{where.get('db', 0)}"

    def patience(self) -> Patience:
        """Fresh patience for one operation of any number of calls."""
        return Patience(seconds_left=LOST_TIMEOUTS * self._socket_timeout)

    def ask(self, question: Callable[[Redis], _Answer], patience: Patience, *, n_bytes: int = 0) -> _Answer:
        """The answer to ``question``, which must be safe to ask twice: an attempt that failed may have been obeyed.

        ``n_bytes`` is about how much has to be sent. Raises ``StoreUnavailable`` when patience runs out and
        ``StoreRefused`` for what trying again cannot mend.
        """
        prompt = max(PROMPT_SECONDS, PROMPT_SHARE * self._socket_timeout)
        if patience.seconds_left <= 0:
            raise StoreUnavailable(
                f"model store {self.address}: its answers are too slow",
                expected=f"answers within {prompt:g} s, or few slower ones",
                remedy="see what the server and the network do; a slow network needs a larger redis.socket_timeout",
            )
        prompt += self._socket_timeout * n_bytes / BYTES_PER_TIMEOUT
        while True:
            started = time.monotonic()
            try:
                answer = question(self._client)
            except RedisError as error:
                pause = patience.pause(time.monotonic() - started) if _is_passing(error) else None
                if pause is None:
                    raise self._translated(error) from error
            else:
                patience.seconds_left -= max(0.0, time.monotonic() - started - prompt)
                return answer
            time.sleep(pause)

    def command(self, words: Sequence[bytes | str | float], patience: Patience) -> Any:
        """The answer to one command that may be given twice; raises as ``ask`` does."""
        n_bytes = sum(len(word) for word in words if isinstance(word, bytes))
        return self.ask(lambda client: call(client, *words), patience, n_bytes=n_bytes)

    def close(self) -> None:
        """Close every socket; the next question opens a new one."""
        self._pool.disconnect()

    def _translated(self, error: RedisError) -> AnomalyAssetsError:
        words = f"{type(error).__name__}: {error}"
        if self._password:
            words = words.replace(self._password, "***")
        found = f"model store {self.address}: {words}"
        if _is_passing(error):
            return StoreUnavailable(found, expected="an answer", remedy="check that the server runs, then run again")
        if _code(error) == "MISCONF":
            return StoreUnavailable(found, remedy="the server cannot save to its disk: make room there, then run again")
        return StoreRefused(found, remedy=_remedy(error))


def _require_place(url: str, pool: ConnectionPool) -> None:
    """Raise ``ValueError`` for what the client would take silently or stumble over later: a database, a host."""
    where = pool.connection_kwargs
    str(where.get("host", "")).encode("idna")
    database = urlsplit(url).path.strip("/")
    if "path" not in where and database and not database.isdecimal():
        raise ValueError(url)  # it would be number 0


def call(client: Redis, *words: bytes | str | float) -> Any:
    """One command; names of commands are the first words, values are never spliced into them."""
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def call_each(client: Redis, commands: Sequence[Sequence[bytes | str]]) -> list[Any]:
    """The answers to many commands in one round trip; refused ones have their ``ResponseError`` as answer."""
    with client.pipeline(transaction=False) as pipeline:
        for words in commands:
            call(pipeline, *words)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
    return answers


def is_wrong_type(answer: object) -> bool:
    """Whether the server said that a key holds another type than the command is for."""
    return isinstance(answer, redis_errors.ResponseError) and _code(answer) == "WRONGTYPE"


def _is_passing(error: RedisError) -> bool:
    if isinstance(error, _DENIED):
        return False
    return isinstance(error, _PASSING) or _code(error) in _PASSING_CODES


def _code(error: RedisError) -> str:
    """The error code a server puts first; the client removes it where it has a class for it."""
    return str(error).partition(" ")[0]


def _remedy(error: RedisError) -> str:
    if _code(error) == "WRONGTYPE":
        return "another application uses these keys: set redis.key_prefix to a prefix of your own"
    return next((remedy for kind, remedy in _REMEDIES if isinstance(error, kind)), "read the server's words above")


_REMEDIES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (_DENIED, "correct user and password in REDIS_URL or redis.url"),
    (
        redis_errors.NoPermissionError,
        "let this user run that command (ACL SETUSER), or use the publisher's credentials",
    ),
    (
        redis_errors.OutOfMemoryError,
        "raise maxmemory (embedded store: redis.embedded_max_memory_mb) or free memory, then run again",
    ),
    (redis_errors.ReadOnlyError, "name the primary, not a replica, in REDIS_URL or redis.url"),
    (
        (redis_errors.AskError, redis_errors.ClusterError, redis_errors.ClusterCrossSlotError),
        "use a server without cluster mode: a publication spans all keys",
    ),
    (
        redis_errors.InvalidResponse,
        "name a server that speaks the Redis protocol in REDIS_URL or redis.url",
    ),
)
