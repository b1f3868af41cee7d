"""A server that keeps Dagster's records, PostgreSQL say: found out before Dagster tries, and told in words."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._config import process_config, resolve_to_config_type
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.config import pg_config

from anomaly_assets.adapters.dagster_home import INSTANCE_FILE
from anomaly_assets.domain.errors import AnomalyAssetsError, InstanceUnavailable, SettingsError

CONNECT_SECONDS = 10
_CONNECTION_CODES = ("08", "57P0")
"""SQLSTATE of a connection that failed, and of a server that ends, or that cannot take connections yet."""
SCHEME = "postgresql+psycopg2"
"""What ``dagster.yaml`` must say: for ``postgresql`` SQLAlchemy 2.1 takes a driver that dagster-postgres has not."""


def server_of(folder: Path) -> sa.URL | None:
    """The PostgreSQL server that ``dagster.yaml`` in ``folder`` names; None when records lie elsewhere.

    Raises ``SettingsError`` when the file says it wrongly, or what it needs is not installed.
    """
    path = folder / INSTANCE_FILE
    if not path.exists():
        return None
    try:
        ref = InstanceRef.from_dir(str(folder))
    except dg.DagsterInvalidConfigError as error:
        raise _wrong(path, error.errors) from None
    named = (ref.storage_data, ref.run_storage_data, ref.event_storage_data, ref.schedule_storage_data)
    configs = [data.config_dict for data in named if data and data.module_name.startswith("dagster_postgres")]
    if not configs:
        return None
    try:
        from dagster_postgres.utils import pg_url_from_config  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{path} names PostgreSQL, and {error.name} is not installed", remedy="run `make postgres`"
        ) from None
    processed = process_config(resolve_to_config_type(pg_config()), dict(configs[0]))
    if not processed.success:
        raise _wrong(path, processed.errors or ())
    return sa.make_url(pg_url_from_config(processed.value or {}))


def _wrong(path: Path, errors: Iterable[Any]) -> SettingsError:
    said = [error.message.partition("Stack Trace:")[0].strip() for error in errors]
    return SettingsError(f"{path} is not what Dagster expects: " + "; ".join(said), remedy="correct it there")


def require_answer(folder: Path) -> None:
    """See that the server which keeps the records of an instance, if there is one, answers. One try, nothing changed.

    Raises ``InstanceUnavailable`` when it does not, ``SettingsError`` when ``dagster.yaml`` cannot lead to one.
    """
    url, path = server_of(folder), folder / INSTANCE_FILE
    if url is None:
        return
    wait: dict[str, int] = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
    try:
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=wait)
    except (ModuleNotFoundError, sa.exc.NoSuchModuleError) as error:
        raise SettingsError(
            f"{path} names PostgreSQL by the scheme {url.drivername}, whose driver is not installed ({error})",
            expected=f"scheme: {SCHEME}",
            remedy=f"add it in storage.postgres.postgres_db, beside hostname; a postgres_url begins with {SCHEME}://",
        ) from None
    with answered(folder), engine.connect():
        pass


@contextmanager
def answered(folder: Path) -> Iterator[None]:
    """Tell of a server that cannot be reached as ``InstanceUnavailable``; every other error stays what it is."""
    try:
        yield
    except AnomalyAssetsError:
        raise
    except Exception as error:
        cause = _of_connection(error)
        if cause is None:
            raise
        url, path = None, folder / INSTANCE_FILE
        with suppress(Exception):  # of a file that was changed meanwhile; the first error says more
            url = server_of(folder)
        raise InstanceUnavailable(
            f"Dagster's records cannot be reached: {_first_line(cause.orig)}",
            expected=f"a server that answers at {url or 'the address'}, as {path} says",
            remedy=f"start it or correct storage in {path} (anomaly-assets doctor tries it), then run this again",
        ) from error


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _of_connection(error: BaseException | None) -> sa.exc.DBAPIError | None:
    """What a driver said when it got no connection to a server, or lost it, wherever among the causes."""
    while error is not None:
        if isinstance(error, sa.exc.DBAPIError) and _is_of_connection(error):
            return error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def _is_of_connection(error: sa.exc.DBAPIError) -> bool:
    """A full disk, a deadlock or a statement that was canceled are errors of a server that answers."""
    if type(error.orig).__module__.startswith("sqlite3"):
        return False
    code = getattr(error.orig, "pgcode", None)
    if code is None:
        return error.connection_invalidated or error.statement is None  # nothing was asked yet
    return error.connection_invalidated or str(code).startswith(_CONNECTION_CODES)
