"""Erasing a wallet: its rows leave every file and the model store, and every other wallet stays provable.

What stays of it: salted digests of its id and of its transactions' ids (``adapters.erasures``), the leaves of its
rows (``domain.wallet_leaves``), and an entry of the publication log that names both. Everything may be run again after
a kill; nothing is done twice.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.erased_files import ErasedFiles
from anomaly_assets.adapters.erasing import ERASURE, erase_from, files_with
from anomaly_assets.adapters.erasures import ErasedWallet
from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.id_index import write_id_index
from anomaly_assets.adapters.lake import Lake, PartitionWriter
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.adapters.object_path import AnyPath, listed
from anomaly_assets.adapters.parquet_bytes import table_from_bytes, table_to_bytes
from anomaly_assets.adapters.partition_files import role_of
from anomaly_assets.adapters.publication import ModelKey
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.days import day_named
from anomaly_assets.domain.errors import NotSealed
from anomaly_assets.steps.run import MODELS, RAW, SCORED, WINDOW, Run


@dataclass(frozen=True)
class Traces:
    """What a home holds of a wallet.

    Parameters
    ----------
    transactions : ids by day
    model_ids, detectors : of its models, of whatever day; models that another wallet has too are left out
    files : files that hold it, by asset
    """

    transactions: dict[date, set[str]] = field(default_factory=lambda: defaultdict(set))
    model_ids: set[str] = field(default_factory=set)
    detectors: set[str] = field(default_factory=set)
    files: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(frozen=True)
class Erased:
    """What an erasure did.

    Parameters
    ----------
    record : what stays of the wallet
    tx_ids : ids of its transactions that files held until now
    transactions : how many ids are answered with "erased" from now on
    files : rewritten files by asset; 0 everywhere when the wallet was erased before
    payloads : archived models that were dropped
    served : models that the store served
    head : head of the publication log
    """

    record: ErasedWallet
    tx_ids: frozenset[str]
    transactions: int
    files: Mapping[str, int]
    payloads: int
    served: int
    head: str


def erase_wallet(run: Run, store: StoreProvider, wallet_id: str, *, detectors: Iterable[str]) -> Erased:
    """Take a wallet out of raw days, windows, models, scores, published files, the archive and the store.

    Parameters
    ----------
    detectors : names of the configured detectors, whose models the store may serve

    Raises ``NotSealed`` when the home holds nothing of the wallet, ``CorruptFile`` when a file that might hold it
    cannot be read, ``Busy`` when a run holds a day for longer than the lock's timeout. What was done by then stays
    done; run again.
    """
    home = run.home
    with exclusive(home.root / "locks" / "erasure.lock", timeout_seconds=run.lock_timeout_seconds):
        before = home.erasures.find(wallet_id)
        run.say("looking for the wallet in every file")
        traces = traces_of(home, wallet_id)
        if before is None and not traces.files:
            raise NotSealed(
                f"no file of {home.root} holds wallet {wallet_id!r}",
                expected="a wallet id exactly as in WALLET_ID of the published files",
                remedy="check the id and --home",
            )
        record = _record(home, wallet_id, before, traces)
        home.erasures.write(record)  # first: from now on no run lets its rows in
        failpoint(f"{ERASURE}.decided")
        records = _erase_from_lakes(run, wallet_id)
        _erase_truth(home, wallet_id)
        if home.source_days.exists():
            shutil.rmtree(home.source_days)  # copies of what the source holds
        payloads = _drop_models(home, traces.model_ids)
        served = _erase_from_store(run, store, wallet_id, {*detectors, *traces.detectors})
        failpoint(f"{ERASURE}.done")
        entry = {"asset": ERASURE, "wallet": record.mark, "record": record.record_id, "partitions": records}
        head = home.log.append(entry, run_id=run.run_id, at=run.now())
    n_transactions = sum(map(len, record.transactions.values()))
    tx_ids = frozenset[str]().union(*traces.transactions.values())
    return Erased(record, tx_ids, n_transactions, dict(traces.files), payloads, served, head)


def traces_of(home: Home, wallet_id: str) -> Traces:
    """Everything that a home holds of a wallet. Raises ``CorruptFile`` when a file cannot be read."""
    traces = Traces()
    for asset, folder, day in _partitions(home):
        for held in files_with(folder, wallet_id):
            traces.files[asset] += 1
            if asset == RAW and role_of(held.path) == "transactions":
                traces.transactions[day].update(held.rows.column("tx_id").to_pylist())
            elif asset == SCORED:
                traces.transactions[day].update(held.rows.column("TX_ID").to_pylist())
            elif asset == MODELS:
                traces.model_ids.update(held.rows.column("model_id").to_pylist())
                traces.detectors.update(held.rows.column("detector").to_pylist())
    if traces.model_ids:
        traces.model_ids.difference_update(_shared_models(home, wallet_id, traces.model_ids))
    return traces


def _partitions(home: Home) -> Iterator[tuple[str, AnyPath, date]]:
    for lake in home.lakes:
        for asset in (RAW, WINDOW, MODELS, SCORED):
            for folder, day in _folders(lake, asset):
                yield asset, folder, day


def _folders(lake: Lake, asset: str) -> list[tuple[AnyPath, date]]:
    """Folders of an asset's days, sealed or not."""
    found = listed(lake.root / asset, "*")
    return [(folder, day) for folder in found if (day := day_named(folder.name)) is not None]


def _shared_models(home: Home, wallet_id: str, model_ids: set[str]) -> set[str]:
    """Those of these models that another wallet has as well: equal rows give equal models."""
    wanted, shared = pa.array(sorted(model_ids), pa.string()), set[str]()
    for asset, folder, _ in _partitions(home):
        for path in listed(folder, "[!.]*.parquet") if asset == MODELS else ():
            table = table_from_bytes(path.read_bytes(), ["wallet_id", "model_id"])
            same = pc.and_(
                pc.is_in(table.column("model_id"), wanted), pc.not_equal(table.column("wallet_id"), wallet_id)
            )
            shared.update(table.filter(same).column("model_id").to_pylist())
    return shared


def _record(home: Home, wallet_id: str, before: ErasedWallet | None, traces: Traces) -> ErasedWallet:
    erasures = home.erasures
    record = before or ErasedWallet(erasures.mark_of("wallet", wallet_id), {})
    return record.and_also(
        {
            day: {erasures.mark_of("transaction", tx_id) for tx_id in tx_ids}
            for day, tx_ids in traces.transactions.items()
        }
    )


def _erase_from_lakes(run: Run, wallet_id: str) -> dict[str, str]:
    """Erase from every partition, under its lock, in the order in which runs read them; the published records' ids.

    A run that read the wallet before holds a lock that is waited for, and what it wrote is erased then.
    """
    records: dict[str, str] = {}
    for lake in run.home.lakes:
        published = lake.base is None
        for asset in (RAW, WINDOW, MODELS, SCORED):
            for _, day in _folders(lake, asset):
                with run.writing(lake, asset, day) as writer:
                    left = erase_from(writer, wallet_id)
                    if published and left.remainders:
                        _follow_up(run.home, writer, left)
                        records[f"{asset}/{day}"] = left.record_id
            run.say(f"erased from {asset}{'' if published else f' of the trial {lake.root.name}'}")
    return records


def _follow_up(home: Home, writer: PartitionWriter, left: ErasedFiles) -> None:
    """What is made of a partition's files: the index of ids, the published file."""
    lake, day = writer.lake, writer.day
    if writer.asset == RAW:
        for seal in writer.history():
            if seal.files["transactions"].sha256 in left.remainders:
                ids = lake.read(seal, "transactions", ["tx_id"]).column("tx_id")
                write_id_index(lake.local_folder(RAW, day), seal.revision, ids)
    current = writer.current()
    if writer.asset == SCORED and current is not None:
        content, target = lake.read_bytes(current, "scored"), home.published_path(day)
        if target.exists() and target.read_bytes() != content:
            write_atomically(target, content, locked=True)
        home.scores_receipt(day).unlink(missing_ok=True)  # a table elsewhere has to be given the day again


def _erase_truth(home: Home, wallet_id: str) -> None:
    for path in sorted(home.truth.glob("*.parquet")):
        table = table_from_bytes(path.read_bytes())
        rest = table.filter(pc.not_equal(table.column("wallet_id"), wallet_id))
        if rest.num_rows < table.num_rows:
            write_atomically(path, table_to_bytes(rest, compression="zstd"))


def _drop_models(home: Home, model_ids: set[str]) -> int:
    """Drop archived payloads; returns how many."""
    dropped = 0
    for day in home.models.days() if model_ids else ():
        ids = home.models.ids_of(day)
        if ids & model_ids:
            dropped += home.models.drop(day, ids - model_ids).dropped
    return dropped


def _erase_from_store(run: Run, store: StoreProvider, wallet_id: str, detectors: set[str]) -> int:
    if not _folders(run.home.lake, MODELS):
        return 0  # nothing was ever published, so no server is started for it
    with store.open(run.home) as server:
        published = server.published()
        if published is None:
            return 0
        keys = [ModelKey(detector, wallet_id) for detector in sorted(detectors)]
        with run.writing(run.home.lake, MODELS, published.as_of):  # nobody publishes meanwhile
            return server.erase(keys)
