"""Taking an erased wallet out of Dagster's own records: previews, lists of flags, messages, logs of steps.

Dagster has no call for it, so its event log is changed in place, through its own connections and tables, in whatever
database it is: only texts that people read, only lines that name the wallet or one of its transactions.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.dagster_home import INSTANCE_FILE
from anomaly_assets.adapters.erasures import ErasedWallet
from anomaly_assets.adapters.home import Home
from anomaly_assets.assets.metadata import MAX_TEXT, MAX_WALLET, shown_text
from anomaly_assets.domain.forgetting import Forgotten

_TEXTS = frozenset({"md_str", "text", "data", "description", "message", "user_message"})
_TABLES = (
    (SqlEventLogStorageTable, "event"),
    (AssetKeyTable, "last_materialization"),
    (AssetCheckExecutionsTable, "evaluation_event"),
)


def erase_from_dagster(home: Home, instance_folder: Path, ids: Iterable[str], record: ErasedWallet) -> int:
    """Forget an erased wallet in the Dagster instance of ``home``; returns how many records changed.

    Parameters
    ----------
    instance_folder : ``DAGSTER_HOME`` of the instance
    ids : the wallet's id and those of its transactions, as far as they are still known
    record : what stays of the wallet: names the others

    Raises ``sqlalchemy.exc.SQLAlchemyError`` when Dagster's database cannot be written.
    """
    if not (instance_folder / INSTANCE_FILE).exists():
        return 0
    erasures, marks = home.erasures, frozenset[str]().union(*record.transactions.values())
    forgotten = Forgotten(_as_shown(ids), also=lambda word: erasures.mark_of("transaction", word) in marks)
    with dg.DagsterInstance.from_config(str(instance_folder)) as instance:
        changed = sum(_erase_from_tables(connection, forgotten) for connection in _connections(instance))
    _empty_logs_of_writes(instance_folder)
    return changed + _erase_from_step_logs(instance_folder, forgotten) + home.alerts.forget(forgotten)


def _as_shown(ids: Iterable[str]) -> set[str]:
    """The ids and the forms in which pages show them."""
    known = set(ids)
    shown = {shown_text(text, longest).strip("`") for text in known for longest in (MAX_TEXT, MAX_WALLET)}
    return {text for text in known | {form.rstrip("…") for form in shown} if text}


def _connections(instance: dg.DagsterInstance) -> Iterator[sa.Connection]:
    """Every database the event log lies in: with SQLite one for the index, for each run, and for events without one."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return
    with storage.index_connection() as connection:
        yield connection
    if isinstance(storage, SqliteEventLogStorage) and Path(storage.path_for_shard(RUNLESS_RUN_ID)).exists():
        with storage.run_connection(RUNLESS_RUN_ID) as connection:  # what was reported from the files again
            yield connection
    for record in instance.get_run_records():
        with ExitStack() as stack:
            yield stack.enter_context(storage.run_connection(record.dagster_run.run_id))


def _erase_from_tables(connection: sa.Connection, forgotten: Forgotten) -> int:
    changed, present = 0, set(sa.inspect(connection).get_table_names())
    if connection.dialect.name == "sqlite":  # what is overwritten must not stay in free pages
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    for table, name in _TABLES:
        if table.name not in present:
            continue
        column = table.c[name]
        ids = connection.execute(sa.select(table.c.id).where(column.is_not(None))).scalars().all()
        for row_id in ids:  # one at a time: previews of years may not fit into memory
            text = connection.execute(sa.select(column).where(table.c.id == row_id)).scalar()
            before = json.loads(text) if text else None
            again = forgotten.without_in(before, _TEXTS)
            if again != before:
                connection.execute(sa.update(table).where(table.c.id == row_id).values({name: json.dumps(again)}))
                changed += 1
    return changed


def _empty_logs_of_writes(instance_folder: Path) -> None:
    """SQLite keeps old pages beside a database for as long as somebody has it open."""
    for path in sorted(instance_folder.rglob("*.db")):
        with (
            closing(sqlite3.connect(path)) as database,
            suppress(sqlite3.OperationalError),
        ):  # a page that is open reads
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _erase_from_step_logs(instance_folder: Path, forgotten: Forgotten) -> int:
    changed = 0
    for path in sorted(p for p in (instance_folder / "storage").glob("*/compute_logs/*") if p.is_file()):
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        if forgotten.named_in(text):
            write_atomically(path, forgotten.without(text).encode("utf-8", "surrogateescape"))
            changed += 1
    return changed
