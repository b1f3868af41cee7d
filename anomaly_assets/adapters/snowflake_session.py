"""A session with Snowflake that opens itself, meets faults again within bounds, and is closed in every case."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import pyarrow as pa

from anomaly_assets.adapters.snowflake_account import Patience
from anomaly_assets.adapters.snowflake_faults import Fault, fault_of
from anomaly_assets.adapters.sources.snowflake_sql import Statement
from anomaly_assets.domain.errors import PermanentError, SettingsError, TransientError

_T = TypeVar("_T")


@dataclass(frozen=True)
class FoundColumn:
    """A column of a result: its name and Snowflake's type, and the digits after the point of a number."""

    name: str
    kind: str
    scale: int | None


class SnowflakeSession:
    """One session at a time, logged in when first used. A context manager.

    Parameters
    ----------
    connect : logs in
    patience : how faults that may pass are met
    whom : what errors are about, "the source" for example
    passes, stays : the errors that faults become
    sleep : waits so many seconds
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        patience: Patience,
        *,
        whom: str,
        passes: type[TransientError],
        stays: type[PermanentError],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connect, self._patience, self._sleep = connect, patience, sleep
        self._whom, self._passes, self._stays = whom, passes, stays
        self._connection: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session; Snowflake rolls back what it had not committed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(_connector_error(), OSError):  # it may be gone already
                connection.close()

    def describe(self, statement: Statement) -> list[FoundColumn]:
        """The columns a statement would give, without running it."""
        return self.run(lambda cursor: _columns(cursor.describe(statement.text, statement.binds or None)))

    def rows(self, statement: Statement) -> list[tuple[Any, ...]]:
        """All rows of a small result as Python values."""
        return self.run(lambda cursor: list(execute(cursor, statement).fetchall()))

    def tables(self, statement: Statement) -> tuple[list[FoundColumn], list[pa.Table]]:
        """A whole result as Arrow tables, one for each chunk the server made, and its columns."""

        def fetch(cursor: Any) -> tuple[list[FoundColumn], list[pa.Table]]:
            execute(cursor, statement)
            return _columns(cursor.description), list(cursor.fetch_arrow_batches())

        return self.run(fetch)

    def run(self, action: Callable[[Any], _T]) -> _T:
        """What ``action`` makes of a fresh cursor; after a fault that may pass all of it again, in a new session.

        Raises ``passes`` when the faults did not end, ``stays`` for one that will not, ``SettingsError`` for a key that
        cannot be read.
        """
        for attempt in range(self._patience.retries + 1):
            if attempt:
                self._sleep(self._patience.wait_seconds * 2 ** (attempt - 1))
            try:
                with self._connected().cursor() as cursor:
                    return action(cursor)
            except _connector_error() as error:
                fault = fault_of(type(error).__name__, error.errno, error.sqlstate, error.msg or str(error))
                self.close()
                if not fault.passes or attempt == self._patience.retries:
                    raise self._error(fault, attempt + 1) from None  # its context may hold statements and hosts
            except OSError as error:
                self.close()
                if attempt == self._patience.retries:
                    raise self._passes(f"{self._whom} did not answer: {type(error).__name__}: {error}") from None
        raise AssertionError("the loop returns or raises")

    def _connected(self) -> Any:
        if self._connection is None:
            try:
                self._connection = self._connect()
            except (ValueError, TypeError, FileNotFoundError, PermissionError) as error:  # what reading a key raises
                raise SettingsError(
                    f"the private key cannot be read: {str(error)[:100]}",
                    expected="a PEM file, and its passphrase exactly when it has one",
                    remedy="correct snowflake.private_key_path or snowflake.private_key_passphrase_env",
                ) from None
        return self._connection

    def _error(self, fault: Fault, attempts: int) -> PermanentError | TransientError:
        if fault.passes:
            tried = f" (asked {attempts} times)" if attempts > 1 else ""
            return self._passes(
                f"{self._whom} did not answer{tried}: {fault.found}", remedy=fault.remedy or "run again"
            )
        return self._stays(f"{self._whom} refused: {fault.found}", remedy=fault.remedy)


def execute(cursor: Any, statement: Statement) -> Any:
    """Run a statement with its values bound by the server; returns the cursor."""
    return cursor.execute(statement.text, statement.binds or None)


def _columns(description: Any) -> list[FoundColumn]:
    from snowflake.connector.constants import FIELD_ID_TO_NAME  # noqa: PLC0415  see snowflake_account.connect

    return [FoundColumn(c.name, FIELD_ID_TO_NAME.get(c.type_code, str(c.type_code)), c.scale) for c in description]


def _connector_error() -> Any:
    """The base of the connector's errors; none when it is not installed."""
    try:
        from snowflake.connector.errors import Error  # noqa: PLC0415  see snowflake_account.connect
    except ModuleNotFoundError:
        return ()
    return Error
