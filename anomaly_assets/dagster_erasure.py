"""Taking an erased wallet out of Dagster's own records: previews, lists of flags, messages, logs of steps.

Dagster has no call for it, so its event log is changed in place, through its own connections and tables, in whatever
database it is: only texts that people read, only lines that name the wallet or one of its transactions.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.erasures import ErasedWallet
from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.forgetting import Forgotten

_TEXTS = frozenset({"md_str", "text", "data", "message", "user_message"})
_TABLES = (
    (SqlEventLogStorageTable, "event"),
    (AssetKeyTable, "last_materialization"),
    (AssetCheckExecutionsTable, "evaluation_event"),
)


def erase_from_dagster(home: Home, ids: Iterable[str], record: ErasedWallet) -> int:
    """Forget an erased wallet in the instance of ``home``; returns how many records changed.

    Parameters
    ----------
    ids : the wallet's id and those of its transactions, as far as they are still known
    record : what stays of the wallet: names the others

    Raises ``sqlalchemy.exc.SQLAlchemyError`` when Dagster's database cannot be written.
    """
    if not (home.dagster / "dagster.yaml").exists():
        return 0
    erasures, marks = home.erasures, frozenset[str]().union(*record.transactions.values())
    forgotten = Forgotten(ids, also=lambda word: erasures.mark_of("transaction", word) in marks)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        changed = sum(_erase_from_tables(connection, forgotten) for connection in _connections(instance))
    return changed + _erase_from_step_logs(home, forgotten)


def _connections(instance: dg.DagsterInstance) -> Iterator[sa.Connection]:
    """Every database the event log lies in: with SQLite one for the index and one for each run."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return
    with storage.index_connection() as connection:
        yield connection
    for record in instance.get_run_records():
        with ExitStack() as stack:
            yield stack.enter_context(storage.run_connection(record.dagster_run.run_id))


def _erase_from_tables(connection: sa.Connection, forgotten: Forgotten) -> int:
    changed, present = 0, set(sa.inspect(connection).get_table_names())
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:  # what is overwritten must not stay in free pages
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    for table, name in _TABLES:
        if table.name not in present:
            continue
        column = table.c[name]
        for row_id, text in connection.execute(sa.select(table.c.id, column).where(column.is_not(None))).all():
            again = json.dumps(forgotten.without_in(json.loads(text), _TEXTS))
            if again != json.dumps(json.loads(text)):
                connection.execute(sa.update(table).where(table.c.id == row_id).values({name: again}))
                changed += 1
    return changed


def _erase_from_step_logs(home: Home, forgotten: Forgotten) -> int:
    changed = 0
    for path in sorted((home.dagster / "storage").glob("*/compute_logs/*")):
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        if path.is_file() and forgotten.named_in(text):
            write_atomically(path, forgotten.without(text).encode("utf-8", "surrogateescape"))
            changed += 1
    return changed
