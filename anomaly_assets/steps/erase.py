"""Erasing a wallet: its rows leave every file and the model store, and every other wallet stays provable.

What stays of it: salted digests of its id and of its transactions' ids (``adapters.erasures``), the leaves of its
rows (``domain.wallet_leaves``), and an entry of the publication log that names both, and who asked and why.
Everything may be run again after a kill, and begins where that ended: what a partition told of the wallet is recorded
before its files are replaced.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.erased_files import ErasedFiles
from anomaly_assets.adapters.erasing import Held, erase_from, files_with
from anomaly_assets.adapters.erasures import ErasedWallet
from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.id_index import write_id_index
from anomaly_assets.adapters.lake import PartitionWriter
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.adapters.object_path import AnyPath, listed
from anomaly_assets.adapters.parquet_bytes import table_from_bytes, table_to_bytes
from anomaly_assets.adapters.partition_files import role_of
from anomaly_assets.adapters.publication_log import ERASURE
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.erasure_request import ErasureRequest
from anomaly_assets.domain.errors import Busy, HomeMismatch, NotSealed, StoreRefused, StoreUnavailable
from anomaly_assets.domain.families import Family, assets_of
from anomaly_assets.domain.forgetting import Forgotten
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED
from anomaly_assets.steps.publish_models import forget_erased
from anomaly_assets.steps.run import Run

WAITS = (
    "The next publication takes the wallet out of it: a run, the sensor serve_newest_models, or "
    "anomaly-assets store publish"
)


@dataclass(frozen=True)
class Erasure:
    """What an erasure did.

    Parameters
    ----------
    record : what stays of the wallet
    tx_ids : ids of its transactions that files held until now
    transactions : how many ids are answered with "erased" from now on
    files : rewritten files by asset; empty when the wallet was erased before
    payloads : archived models that were dropped
    served : models that the store served
    head : head of the publication log
    store_waits : why the store was not told yet, else empty: the next publication takes the wallet out of it
    """

    record: ErasedWallet
    tx_ids: frozenset[str]
    transactions: int
    files: Mapping[str, int]
    payloads: int
    served: int
    head: str
    store_waits: str = ""


def erase_wallet(
    run: Run, store: StoreProvider, wallet_id: str, families: Sequence[Family], *, request: ErasureRequest
) -> Erasure:
    """Take a wallet out of raw days, windows, models, scores, published files, the archive and the store.

    Parameters
    ----------
    families : whose files are looked through
    request : who has it erased and why: the record keeps that of the erasure that began, the log that of each

    Raises ``SettingsError`` when the request names the wallet or one of its transactions, before anything is written,
    ``NotSealed`` when the home holds nothing of the wallet, ``CorruptFile`` when a file that might hold it
    cannot be read, ``Busy`` when a run holds a day for longer than the lock's timeout. What was done by then stays
    done; run again. A store that is away or refuses is no error: its part waits in the home.
    """
    home = run.home
    with exclusive(home.root / "locks" / "erasure.lock", timeout_seconds=run.lock_timeout_seconds):
        erasing = _Erasing(run, wallet_id, _begin(run, wallet_id, families, request), families)
        failpoint(f"{ERASURE}.decided")
        records = erasing.lakes()
        failpoint(f"{ERASURE}.emptied")
        _erase_truth(home, wallet_id)
        _erase_copies(home)
        payloads = erasing.payloads()
        record = erasing.record
        if home.lake.days_begun(MODELS):  # else nothing was ever published, so no server is started for it
            home.store_pending.keep_erasure(record.mark)
        # before the store, which may not answer: until the log names what is gone, each of these days is a mismatch
        what = {"wallet": record.mark, "record": record.record_id, "partitions": records, "request": request.as_json()}
        head = home.log.append({"asset": ERASURE, **what}, run_id=run.run_id, at=run.now())
        failpoint(f"{ERASURE}.logged")
        served, waits = _erase_from_store(run, store)
    gone, files = frozenset(erasing.tx_ids), dict(erasing.files)
    return Erasure(record, gone, record.n_transactions, files, payloads, served, head, waits)


def _begin(run: Run, wallet_id: str, families: Sequence[Family], request: ErasureRequest) -> ErasedWallet:
    """The wallet's record, durable: from now on no run lets its rows in."""
    home = run.home
    run.say("looking for the wallet")
    record = home.erasures.find(wallet_id)
    named, tx_ids = _transactions(home, wallet_id)
    recorded = set[str]().union(*record.transactions.values()) if record else set[str]()
    request.require_unnamed(
        Forgotten({wallet_id, *tx_ids}, also=lambda word: home.erasures.mark_of("transaction", word) in recorded)
    )
    if record is None:
        others = [name for name in _naming_wallets(families) if name not in {RAW, SCORED}]
        if not named and not any(files_with(folder, wallet_id) for folder in _folders(home, others)):
            raise NotSealed(
                f"no file of {home.root} holds wallet {wallet_id!r}",
                expected="a wallet id exactly as in WALLET_ID of the published files",
                remedy="check the id and --home",
            )
        record = ErasedWallet(home.erasures.mark_of("wallet", wallet_id), {}, request=request.as_json())
    home.erasures.write(record)
    return record


def _transactions(home: Home, wallet_id: str) -> tuple[bool, set[str]]:
    """Whether raw days or scores name the wallet, and the ids of its transactions in them, refused ones too."""
    named, tx_ids = False, set[str]()
    for folder in _folders(home, (RAW, SCORED)):
        for held in files_with(folder, wallet_id):
            named = True
            for name in {"tx_id", "TX_ID"}.intersection(held.rows.column_names):
                tx_ids.update(tx_id for tx_id in held.rows.column(name).to_pylist() if tx_id)
    return named, tx_ids


def _naming_wallets(families: Sequence[Family]) -> list[str]:
    """Assets whose files name wallets, in the order in which runs read them."""
    return [asset.name for asset in assets_of(families) if asset.names_wallets]


def _folders(home: Home, assets: Iterable[str]) -> Iterator[AnyPath]:
    return (lake.folder(asset, day) for lake in home.lakes for asset in assets for day in lake.days_begun(asset))


@dataclass
class _Erasing:
    """One erasure on its way; ``record`` is kept as it goes."""

    run: Run
    wallet_id: str
    record: ErasedWallet
    families: Sequence[Family]
    tx_ids: set[str] = field(default_factory=set)
    files: Counter[str] = field(default_factory=Counter)

    def lakes(self) -> dict[str, str]:
        """Erase from every partition, under its lock; the ids of what the published lake's partitions record.

        A run that read the wallet before holds a lock that is waited for, and what it wrote is erased then.
        """
        records: dict[str, str] = {}
        for lake in self.run.home.lakes:
            published = lake == self.run.home.lake
            for asset in _naming_wallets(self.families):
                for day in lake.days_begun(asset):
                    with self.run.writing(lake, asset, day) as writer:
                        left = erase_from(writer, self.wallet_id, self._note)
                        if published and (left.remainders or asset == SCORED):
                            _follow_up(self.run.home, writer, left, self.wallet_id)
                        if published and left.remainders:
                            records[f"{asset}/{day}"] = left.record_id
                self.run.say(f"erased from {asset}{'' if published else f' of the trial {lake.root.name}'}")
        return records

    def payloads(self) -> int:
        """Drop the archived models that no other wallet has; returns how many."""
        home, gone = self.run.home, set(self.record.pending_models)
        gone -= _shared_models(home, self.wallet_id, gone)
        dropped = sum(home.models.drop_ids(day, gone).dropped for day in home.models.days()) if gone else 0
        self._keep(replace(self.record, pending_models=()))
        return dropped

    def _note(self, asset: str, day: date, held: Sequence[Held]) -> None:
        """Record what these files tell of the wallet, before they are replaced."""
        tx_ids, model_ids = set[str](), set[str]()
        for each in held:
            self.files[asset] += 1
            if asset == RAW and role_of(each.path) == "transactions":
                tx_ids.update(each.rows.column("tx_id").to_pylist())
            elif asset == SCORED:
                tx_ids.update(each.rows.column("TX_ID").to_pylist())
            elif asset == MODELS:
                model_ids.update(each.rows.column("model_id").to_pylist())
        self.tx_ids |= tx_ids
        marks = {self.run.home.erasures.mark_of("transaction", tx_id) for tx_id in tx_ids}
        self._keep(self.record.and_also({day: marks} if marks else {}, model_ids))

    def _keep(self, record: ErasedWallet) -> None:
        if record != self.record:
            self.run.home.erasures.write(record)
            self.record = record


def _shared_models(home: Home, wallet_id: str, model_ids: set[str]) -> set[str]:
    """Those of these models that another wallet has as well: equal rows give equal models."""
    wanted, shared = pa.array(sorted(model_ids), pa.string()), set[str]()
    for table in _tables_of_models(home):
        same = pc.and_(pc.is_in(table.column("model_id"), wanted), pc.not_equal(table.column("wallet_id"), wallet_id))
        shared.update(table.filter(same).column("model_id").to_pylist())
    return shared


def _tables_of_models(home: Home) -> Iterator[pa.Table]:
    for lake in home.lakes:
        for day in lake.days_begun(MODELS):
            for path in listed(lake.folder(MODELS, day), "models-*.parquet"):
                yield table_from_bytes(path.read_bytes(), ["wallet_id", "model_id"])


def _follow_up(home: Home, writer: PartitionWriter, left: ErasedFiles, wallet_id: str) -> None:
    """What is made of a partition's files: the index of ids, the published file."""
    lake, day = writer.lake, writer.day
    if writer.asset == RAW:
        for seal in writer.history():
            if seal.files["transactions"].sha256 in left.remainders:
                ids = lake.read(seal, "transactions", ["tx_id"]).column("tx_id")
                write_id_index(lake.local_folder(RAW, day), seal.revision, ids)
    target = home.published_path(day)
    if writer.asset != SCORED or not target.exists():
        return
    content = target.read_bytes()
    published = table_from_bytes(content)
    rest = published.filter(pc.not_equal(published.column("WALLET_ID"), wallet_id))
    if rest.num_rows < published.num_rows:
        current = writer.current()
        again = table_to_bytes(rest, compression="zstd") if current is None else lake.read_bytes(current, "scored")
        write_atomically(target, again, locked=True)
        home.scores_receipt(day).unlink(missing_ok=True)  # a table elsewhere has to be given the day again


def _erase_truth(home: Home, wallet_id: str) -> None:
    for path in sorted(home.truth.glob("*.parquet")):
        table = table_from_bytes(path.read_bytes())
        rest = table.filter(pc.not_equal(table.column("wallet_id"), wallet_id))
        if rest.num_rows < table.num_rows:
            write_atomically(path, table_to_bytes(rest, compression="zstd"))


def _erase_copies(home: Home) -> None:
    """Remove copies of what the source and the scores hold; who reads or makes one meanwhile makes it again."""
    for folder in (home.source_days, home.digests):
        gone = folder.with_name(f"{folder.name}.erased")
        if folder.exists():
            shutil.rmtree(gone, ignore_errors=True)
            folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _erase_from_store(run: Run, store: StoreProvider) -> tuple[int, str]:
    """How many models the store had of wallets that it is to forget, and why it was not told: that waits then."""
    home = run.home
    if not home.store_pending.erasures():
        return 0, ""
    try:
        with store.open(home) as server:
            published = server.published()
            # nobody publishes meanwhile
            with run.writing(home.lake, MODELS, published.as_of) if published else nullcontext():
                return forget_erased(home, server), ""
    except (StoreUnavailable, StoreRefused, HomeMismatch, Busy) as error:  # Dagster's records are reached all the same
        run.say(f"NOT ERASED from the model store yet: {error.found}. {WAITS}")
        return 0, error.found
