"""Taking an erased wallet out of Dagster's own records: previews, lists of flags, messages, ticks, tags, logs of steps.

Dagster has no call for it, so its records are changed in place, through its own connections and tables, in whatever
database they are: only texts that people read, only lines that name the wallet or one of its transactions. Where homes
share an instance, records of other homes stay as they are.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs.schema import (
    BackfillTagsTable,
    BulkActionsTable,
    DaemonHeartbeatsTable,
    RunsTable,
    RunTagsTable,
)
from dagster._core.storage.schedules import SqlScheduleStorage
from dagster._core.storage.schedules.schema import JobTickTable

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.dagster_home import INSTANCE_FILE
from anomaly_assets.adapters.erasures import ErasedWallet
from anomaly_assets.adapters.home import Home
from anomaly_assets.assets.metadata import MAX_TEXT, MAX_WALLET, shown_text
from anomaly_assets.dagster_owners import NOBODY, Homes, RecordOwners
from anomaly_assets.dagster_records import (
    Storage,
    database_of,
    has_default_records,
    log_folders_of,
    runs_with_database,
    storages_of,
)
from anomaly_assets.dagster_server import answered, require_answer
from anomaly_assets.dagster_vacuum import remove_dead_rows
from anomaly_assets.domain.errors import InstanceUnavailable
from anomaly_assets.domain.forgetting import SYSTEM_KEYS, Forgotten

ROWS_AT_ONCE = 20
"""Previews of years may not fit into memory."""


@dataclass(frozen=True)
class _Texts:
    """A column that holds texts of people.

    Parameters
    ----------
    table, column : where it is
    owner : column that tells whose a row is, and which question to ask of it
    keys : keys of its JSON with texts; without any the column is the value of a tag whose name is in ``key``
    """

    table: sa.Table
    column: str
    owner: tuple[str, Callable[[RecordOwners, str | None], Homes]]
    keys: frozenset[str] = frozenset()


_EVENT = frozenset({"md_str", "text", "data", "description", "message", "user_message"})
_BACKFILL = frozenset({"title", "description", "message", "tags"})
_EVENTS = (
    _Texts(SqlEventLogStorageTable, "event", ("run_id", RecordOwners.of_run), _EVENT),
    # its last_run_id is that of a run which has perhaps only begun
    _Texts(AssetKeyTable, "last_materialization", ("last_materialization", RecordOwners.of_record), _EVENT),
    _Texts(AssetCheckExecutionsTable, "evaluation_event", ("run_id", RecordOwners.of_run), _EVENT),
)
_RUNS = (
    _Texts(RunsTable, "run_body", ("run_id", RecordOwners.of_run), frozenset({"tags"})),
    _Texts(RunTagsTable, "value", ("run_id", RecordOwners.of_run)),
    _Texts(BulkActionsTable, "body", ("key", RecordOwners.of_backfill), _BACKFILL),
    _Texts(BackfillTagsTable, "value", ("backfill_id", RecordOwners.of_backfill)),
    _Texts(DaemonHeartbeatsTable, "body", ("daemon_id", lambda *_: NOBODY), frozenset({"message"})),
)
_TICKS = (
    _Texts(
        JobTickTable,
        "tick_body",
        ("selector_id", RecordOwners.of_instigator),
        frozenset({"skip_reason", "message", "tags"}),
    ),
)


def erase_from_dagster(
    home: Home,
    instance_folder: Path,
    ids: Iterable[str],
    record: ErasedWallet,
    *,
    timeout_seconds: float,
    say: Callable[[str], None],
) -> int:
    """Forget an erased wallet in the Dagster instance of ``home``; returns how many records changed.

    Parameters
    ----------
    instance_folder : ``DAGSTER_HOME`` of the instance
    ids : the wallet's id and those of its transactions, as far as they are still known
    record : what stays of the wallet: names the others
    timeout_seconds : how long others may hold what a server has to write anew
    say : told what remains to be done by the owner of a server

    Raises ``sqlalchemy.exc.SQLAlchemyError`` when Dagster's database cannot be written, ``InstanceUnavailable`` when a
    server that keeps it does not answer, ``Busy`` and ``SettingsError`` as :func:`remove_dead_rows`. Run again then.
    """
    erasures, marks = home.erasures, frozenset[str]().union(*record.transactions.values())
    forgotten = Forgotten(_as_shown(ids), also=lambda word: erasures.mark_of("transaction", word) in marks)
    changed = home.alerts.forget(forgotten)
    if not (instance_folder / INSTANCE_FILE).exists() and not has_default_records(instance_folder):
        return changed
    _require_answer(instance_folder)
    with answered(instance_folder), dg.DagsterInstance.from_config(str(instance_folder)) as instance:
        storages = storages_of(instance, instance_folder)
        erasing = _Erasing(forgotten, _owners(home.home_id, storages))
        for connection, texts in _databases(storages, erasing.owners):
            erasing.table(connection, texts)
        changed += erasing.changed + sum(map(erasing.logs, log_folders_of(instance, instance_folder)))
        for connection, _ in _databases(storages, None):
            tables = erasing.tables.pop(connection.engine.url, None)  # the three storages usually are one database
            if tables:
                remove_dead_rows(connection, tables, timeout_seconds=timeout_seconds, say=say)
    _empty_logs_of_writes(storages)
    return changed


def _require_answer(instance_folder: Path) -> None:
    """Nobody else needs the server of an instance of before: what to do when it is gone for good must be said here."""
    try:
        require_answer(instance_folder)
    except InstanceUnavailable as error:
        path = instance_folder / INSTANCE_FILE
        remedy = f"start it or correct storage in {path}, then erase again; when it is gone for good, and every record "
        remedy += f"in it, take storage out of {path}"
        raise InstanceUnavailable(error.found, expected=error.expected, remedy=remedy) from error


def _owners(home_id: str, storages: Iterable[Storage]) -> RecordOwners:
    """Whose records are, by all runs and instigators together: an event may lie elsewhere than its run."""
    runs = [run for each in storages if isinstance(each, SqlRunStorage) for run in each.get_runs()]
    states = [
        state for each in storages if isinstance(each, SqlScheduleStorage) for state in each.all_instigator_state()
    ]
    return RecordOwners(home_id, runs, states)


def _as_shown(ids: Iterable[str]) -> set[str]:
    """The ids and the forms in which pages show them."""
    known = set(ids)
    shown = {shown_text(text, longest).strip("`") for text in known for longest in (MAX_TEXT, MAX_WALLET)}
    return {text for text in known | {form.rstrip("…") for form in shown} if text}


def _databases(
    storages: Iterable[Storage], owners: RecordOwners | None
) -> Iterator[tuple[sa.Connection, tuple[_Texts, ...]]]:
    """Every database and what of it holds texts.

    Dagster's own SQLite has one more for each run: those that are not of other homes, none without ``owners``.
    """
    for storage in storages:
        if isinstance(storage, SqlEventLogStorage):
            with storage.index_connection() as connection:
                yield connection, _present(connection, _EVENTS)
        if isinstance(storage, SqliteEventLogStorage) and owners is not None:
            for run_id in runs_with_database(storage):
                if not owners.are_others(owners.of_run(run_id)):
                    with storage.run_connection(run_id) as connection:
                        yield connection, _present(connection, _EVENTS)
        if isinstance(storage, SqlRunStorage):
            with storage.connect() as connection:
                yield connection, _present(connection, _RUNS)
        if isinstance(storage, SqlScheduleStorage):
            with storage.connect() as connection:
                yield connection, _present(connection, _TICKS)


def _present(connection: sa.Connection, texts: tuple[_Texts, ...]) -> tuple[_Texts, ...]:
    there = set(sa.inspect(connection).get_table_names())
    return tuple(each for each in texts if each.table.name in there)


@dataclass
class _Erasing:
    """One erasure on its way."""

    forgotten: Forgotten
    owners: RecordOwners
    changed: int = 0
    others_logs: set[tuple[str, ...]] = field(default_factory=set)
    tables: dict[sa.URL, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Names by database."""

    def table(self, connection: sa.Connection, texts: Iterable[_Texts]) -> None:
        """Change what is in the tables of a database."""
        if connection.dialect.name == "sqlite":  # what is overwritten must not stay in free pages
            connection.exec_driver_sql("PRAGMA secure_delete = ON")
        for each in texts:
            self.tables[connection.engine.url].add(each.table.name)
            for row_id, owner, name, text in _rows(connection, each):
                self._row(connection, each, row_id, each.owner[1](self.owners, owner), name, text)

    def _row(
        self, connection: sa.Connection, texts: _Texts, row_id: int, homes: Homes, name: str | None, text: str | None
    ) -> None:
        table, column = texts.table, texts.table.c[texts.column]
        while text is not None:
            again = self._without(texts, homes, name, text)
            if again == text:
                return
            change = sa.update(table).where(table.c.id == row_id, column == text).values({texts.column: again})
            if connection.execute(change).rowcount:
                self.changed += 1
                return
            # a run changed it meanwhile, or it is gone
            text = connection.execute(sa.select(column).where(table.c.id == row_id)).scalar()

    def _without(self, texts: _Texts, homes: Homes, name: str | None, text: str) -> str:
        if not texts.keys:
            is_kept = self.owners.are_others(homes) or (name or "").startswith(SYSTEM_KEYS)
            return text if is_kept else self.forgotten.without(text)
        before = json.loads(text) if text else None
        if self.owners.are_others(homes, before):
            if isinstance(before, dict) and before.get("log_key"):
                self.others_logs.add(tuple(before["log_key"]))
            return text
        again = self.forgotten.without_in(before, texts.keys)
        return text if again == before else json.dumps(again)

    def logs(self, folder: Path) -> int:
        """Change what steps, schedules and sensors printed into a folder; returns how many files changed."""
        changed = 0
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in {".out", ".err"}):
            *above, _ = path.relative_to(folder).parts
            key = (*above, path.stem)
            if key in self.others_logs or self.owners.are_others(self.owners.of_run(key[0])):
                continue
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
            if self.forgotten.named_in(text):
                write_atomically(path, self.forgotten.without(text).encode("utf-8", "surrogateescape"))
                changed += 1
        return changed


def _rows(connection: sa.Connection, texts: _Texts) -> Iterator[tuple[int, str | None, str | None, str | None]]:
    """Id, owner, name of the tag where it is one, and text of every row."""
    table, last = texts.table, -1
    name = sa.null() if texts.keys else table.c.key
    columns = (table.c.id, table.c[texts.owner[0]], name, table.c[texts.column])
    while True:
        query = sa.select(*columns).where(table.c.id > last).order_by(table.c.id).limit(ROWS_AT_ONCE)
        rows = [tuple(row) for row in connection.execute(query)]
        if not rows:
            return
        yield from rows
        last = rows[-1][0]


def _empty_logs_of_writes(storages: Iterable[Storage]) -> None:
    """SQLite keeps old pages beside a database for as long as somebody has it open."""
    folders = {file.parent for file in map(database_of, storages) if file}
    for path in sorted(path for folder in folders for path in folder.glob("*.db")):
        with (
            closing(sqlite3.connect(path)) as database,
            suppress(sqlite3.OperationalError),
        ):  # a page that is open reads
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
