"""A server that keeps Dagster's records, PostgreSQL say: found out before Dagster tries, and told in words."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._config import process_config, resolve_to_config_type
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.config import pg_config

from anomaly_assets.adapters.dagster_home import INSTANCE_FILE
from anomaly_assets.domain.errors import InstanceUnavailable, SettingsError

CONNECT_SECONDS = 10
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
    wait: dict[str, Any] = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
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
    """Tell of a server that stops to answer as ``InstanceUnavailable``; every other error stays what it is."""
    try:
        yield
    except Exception as error:
        cause = _of_server(error)
        if cause is None:
            raise
        url, path = server_of(folder), folder / INSTANCE_FILE
        raise InstanceUnavailable(
            f"Dagster's records cannot be reached: {str(cause.orig).strip().splitlines()[0]}",
            expected=f"a server that answers at {url or 'the address'}, as {path} says",
            remedy=f"start it or correct storage in {path} (anomaly-assets doctor tries it), then run this again",
        ) from error


def _of_server(error: BaseException | None) -> sa.exc.DBAPIError | None:
    """What a driver of a server said when it could not reach it, wherever among the causes."""
    while error is not None:
        if isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError)):
            return None if type(error.orig).__module__.startswith("sqlite3") else error
        error = error.__cause__ or error.__context__
    return None
