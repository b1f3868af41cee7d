"""`erase`: one wallet is gone from everything a home holds, and every other wallet is still proved."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from cli.conftest import ASKED, Shell, empty_folder
from dashboard.conftest import APP
from redis import Redis
from streamlit.testing.v1 import AppTest

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.failpoints import armed
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.checks.sampled_flags_verify import verify_sample
from anomaly_assets.dashboard.shell import deployment
from anomaly_assets.domain.erasure_request import ErasureRequest
from anomaly_assets.domain.errors import Erased, SettingsError
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.wallet_leaves import root_of, wallet_leaves
from anomaly_assets.evidence import published, remains
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.erasures import ErasureState, erasures_of
from anomaly_assets.evidence.lookup import require_days_of
from anomaly_assets.evidence.proof import Grade, Outcome
from anomaly_assets.evidence.sample import sample_flags
from anomaly_assets.evidence.stale import stale_partitions
from anomaly_assets.evidence.trace import trace
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.resources.source import source_resource
from anomaly_assets.settings import CheckSettings, Detection, RedisSettings, load_settings
from anomaly_assets.steps.erase import Erasure, erase_wallet
from anomaly_assets.steps.ingest import ingest_day
from anomaly_assets.steps.measure import measure_day
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.score import score_day
from anomaly_assets.steps.train import train_models
from anomaly_assets.steps.window import build_window
from anomaly_assets.views.digests import Digests
from evidence.conftest import DAYS, EVIDENCE

pytestmark = pytest.mark.xdist_group("erasure")

DETECTORS = ("statistical", "isolation_forest")
REQUEST = ErasureRequest(*ASKED[1::2])


@dataclass(frozen=True)
class Before:
    """What is known of the wallet and of the others before the wallet goes."""

    wallet: str
    tx_id: str
    tx_ids: list[str]
    own_models: set[object]
    others_scored: list[dict[str, object]]
    head: str

    @classmethod
    def of(cls, home: Home) -> "Before":
        scored = home.lake.read(home.lake.require(SCORED, DAYS[-1]), "scored")
        flagged = scored.filter(scored.column("is_anomaly")).slice(0, 1).to_pylist()[0]
        tx_id, wallet = flagged["TX_ID"], flagged["WALLET_ID"]
        listed = rows_of(home, MODELS, "models")
        own, others = ({row["model_id"] for row in listed if (row["wallet_id"] == wallet) is mine} for mine in (1, 0))
        return cls(
            wallet,
            tx_id,
            [str(row["tx_id"]) for row in rows_of(home, RAW, "transactions") if row["wallet_id"] == wallet],
            own - others,
            [row for row in rows_of(home, SCORED, "scored") if row["WALLET_ID"] != wallet],
            home.log.head(),
        )


class ErasedHome(NamedTuple):
    """A home from which the real command erased a wallet."""

    shell: Shell
    before: Before
    done: dict[str, Any]


@pytest.fixture(scope="module")
def erasure(proved: Path) -> Iterator[ErasedHome]:
    """Erased from files, store and Dagster's records; only to be read."""
    with empty_folder() as folder:
        shutil.copytree(proved / "home", folder / "home")
        shell, before = Shell(folder), Before.of(Home(folder / "home"))
        assert files_naming(shell.home / "dagster", [before.wallet]), "or nothing could be erased there"
        assert files_naming(shell.home / "dagster", [before.tx_id])
        assert files_naming(shell.home / "store", [before.wallet])
        Home(shell.home).source_days.mkdir()
        (Home(shell.home).source_days / "copy").write_text(before.wallet)  # as a copy of the source's files would
        digests = Digests(Home(shell.home))
        assert before.tx_id in digests.read("flags", DAYS).column("TX_ID").to_pylist()
        yield ErasedHome(shell, before, shell.json_apart("erase", before.wallet, *ASKED, "--yes", **EVIDENCE))


@pytest.fixture
def changeable(erasure: ErasedHome, tmp_path: Path) -> Home:
    """The files of it, to be tampered with."""
    left_out = shutil.ignore_patterns("store", "dagster", "locks")
    shutil.copytree(erasure.shell.home, tmp_path / "home", ignore=left_out)
    return Home(tmp_path / "home")


@pytest.fixture
def whole(proved: Path) -> Iterator[Home]:
    """The scored home with its store, nothing erased yet."""
    with empty_folder() as folder:
        shutil.copytree(proved / "home", folder / "home", ignore=shutil.ignore_patterns("dagster"))
        yield Home(folder / "home")


def erase(home: Home, wallet: str, request: ErasureRequest = REQUEST) -> Erasure:
    """The step by itself."""
    store = StoreProvider.from_settings(RedisSettings())
    return erase_wallet(run_in(home), store, wallet, OURS, request=request)


def files_naming(folder: Path, texts: list[str]) -> list[str]:
    """Files whose bytes, or whose rows when they are parquet, hold one of the texts."""
    found, searches = [], searches_for(texts)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += json.dumps(pq.read_table(path, partitioning=None).to_pylist(), default=str).encode()
        if holds_any(content, searches):
            found.append(str(path.relative_to(folder)))
    return found


def searches_for(texts: list[str]) -> list[tuple[re.Pattern[bytes], set[bytes]]]:
    """Texts of one length with how all of them begin: what stands at no such beginning is none of them."""
    groups: dict[int, set[bytes]] = {}
    for text in texts:
        groups.setdefault(len(text.encode()), set()).add(text.encode())
    searches = []
    for length, group in groups.items():
        first, last = min(group), max(group)
        shared = next((n for n in range(length) if first[n] != last[n]), length)
        # looked ahead, as one may begin inside another
        pattern = rb"(?=(%b.{%d}))" % (re.escape(first[:shared]), length - shared)
        searches.append((re.compile(pattern, re.DOTALL), group))
    return searches


def holds_any(content: bytes, searches: list[tuple[re.Pattern[bytes], set[bytes]]]) -> bool:
    """Whether one of the texts is anywhere in it; a look at each beginning is far less than a search for each text."""
    return any(found[1] in group for pattern, group in searches for found in pattern.finditer(content))


def contents(home: Home) -> dict[str, bytes]:
    """Every file of results."""
    files = [path for part in ("lake", "output", "models", "truth") for path in (home.root / part).rglob("*")]
    return {str(path): path.read_bytes() for path in files if path.is_file()}


def run_in(home: Home) -> Run:
    return Run(home, "again", lambda: datetime(2024, 2, 1, tzinfo=UTC), lambda _: None, lock_timeout_seconds=5)


def rows_of_day(home: Home, day: date, asset: str, role: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = home.lake.read(home.lake.require(asset, day), role).to_pylist()
    return rows


def rows_of(home: Home, asset: str, role: str) -> list[dict[str, object]]:
    return [row for day in home.lake.days(asset) for row in rows_of_day(home, day, asset, role)]


def assert_roots_hold(home: Home) -> None:
    """The sealed root of every file follows from the rows that are left and the leaves that were kept."""
    erased = 0
    for asset in (RAW, WINDOW, MODELS, SCORED):
        for day in home.lake.days(asset):
            seal, record = home.lake.require(asset, day), home.lake.erased(asset, day)
            for role, file in seal.files.items():
                table = home.lake.read(seal, role)
                kept = record.remainders.get(file.sha256)
                leaves = [*wallet_leaves(table).values(), *(kept.leaves if kept else ())]
                assert root_of(table.schema, leaves) == file.root
                erased += kept is not None
    assert erased > len(DAYS)


def test_nothing_of_the_wallet_is_found_anywhere_and_everything_else_is_as_it_was(erasure: ErasedHome) -> None:
    shell, before, done = erasure
    home = Home(shell.home)
    assert done["transactions"] == len(set(before.tx_ids))
    assert done["served"] == len(DETECTORS)
    assert done["dagster_records"] > 0
    assert done["payloads"] >= len(before.own_models)
    assert files_naming(shell.home, [before.wallet, *before.tx_ids]) == []
    assert not home.digests.exists()
    assert rows_of(home, SCORED, "scored") == before.others_scored
    for day in DAYS:
        file = pq.read_table(home.published_path(day), partitioning=None).to_pylist()
        assert file == rows_of_day(home, day, SCORED, "scored")
    assert not home.models.ids(DAYS[-1]) & before.own_models
    with StoreProvider.from_settings(RedisSettings()).open(home) as store:
        published_now = store.published()
        assert published_now is not None
        served = store.published_model_ids(as_of=published_now.as_of, generation=published_now.generation)
        assert served is not None
        assert len(served) == published_now.count == store.count()
        assert before.wallet not in {key.wallet_id for key in served}
    assert_roots_hold(home)


def test_every_other_wallet_is_still_proved_and_the_flags_of_this_one_answer_erased(erasure: ErasedHome) -> None:
    shell, before, _ = erasure
    home = Home(shell.home)
    verifier = Verifier(home, head=before.head)
    for day in DAYS:
        proof = verifier.verify(day)
        assert proof.grades() == dict.fromkeys(Grade, Outcome.PROVEN), proof.broken
        assert proof.notes == [remains.NOTE, published.METRICS_NOTE]
    assert verifier.verify(DAYS[-1], [before.tx_id]).outcome is Outcome.ERASED
    report = shell.json("verify", before.tx_id, **EVIDENCE)
    assert report["outcomes"] == {"proven": 0, "erased": 1, "mismatch": 0, "missing": 0}
    assert "erased with its wallet" in report["proofs"][0]["links"][-1]["detail"]
    for ask in (lambda: trace(home, before.tx_id), lambda: require_days_of(home, before.tx_id)):
        with pytest.raises(Erased, match=r"erased with its wallet \(it was of 2024-01-18\)"):
            ask()


def _another_row(table: pa.Table) -> pa.Table:
    column = "total_amount" if "total_amount" in table.column_names else "TOTAL_AMOUNT"
    amounts = table.column(column).to_pylist()
    amounts[0] += 1
    return table.set_column(table.column_names.index(column), column, pa.array(amounts))


@pytest.mark.parametrize(("asset", "role"), [(RAW, "transactions"), (SCORED, "scored")])
@pytest.mark.parametrize("change", [_another_row, lambda table: table.slice(1)])
def test_rows_changed_or_taken_under_cover_of_an_erasure_are_found(
    changeable: Home, asset: str, role: str, change: Callable[[pa.Table], pa.Table]
) -> None:
    """Every digest is made to fit, and the log too: the root that was sealed long before does not."""
    home, day = changeable, DAYS[-1]
    seal, record = home.lake.require(asset, day), home.lake.erased(asset, day)
    sealed = seal.files[role].sha256
    with home.lake.writing(asset, day, timeout_seconds=5) as writer:
        forged = writer.stage({role: change(home.lake.read(seal, role))})
        file = forged.files[role]
        forged.path(role).rename(home.lake.local_folder(asset, day) / file.name)
        again = replace(record, remainders={**record.remainders, sealed: replace(record.remainders[sealed], file=file)})
        (home.lake.local_folder(asset, day) / "erased.json").write_bytes(again.to_bytes())
    [wallet] = home.erasures.wallets()
    partitions = {f"{asset}/{day}": again.record_id}
    home.log.append(
        {"asset": "erasure", "wallet": wallet.mark, "record": wallet.record_id, "partitions": partitions},
        run_id="forger",
        at=datetime(2024, 2, 1, tzinfo=UTC),
    )
    if asset == SCORED:
        home.published_path(day).write_bytes(home.lake.read_bytes(seal, role))
    proof = Verifier(home).verify(day)
    assert proof.outcome is Outcome.MISMATCH
    assert proof.broken is not None
    assert f"the root of the {role} of {asset} of {day}" in proof.broken.detail


def test_rows_that_are_gone_without_an_entry_of_the_log_are_a_mismatch(changeable: Home, erasure: ErasedHome) -> None:
    lines = changeable.log.path.read_bytes().splitlines(keepends=True)
    changeable.log.path.write_bytes(b"".join(lines[:-1]))
    for tx_ids in (None, [erasure.before.tx_id]):
        proof = Verifier(changeable).verify(DAYS[-1], tx_ids)
        assert proof.outcome is Outcome.MISMATCH
        assert proof.broken is not None
        assert "by an erasure that the publication log does not name" in proof.broken.detail


def test_an_erased_row_that_was_put_back_is_a_mismatch(changeable: Home, erasure: ErasedHome, proved: Path) -> None:
    folder = changeable.lake.local_folder(RAW, DAYS[-1])
    shutil.rmtree(folder)
    shutil.copytree(Home(proved / "home").lake.local_folder(RAW, DAYS[-1]), folder)
    proof = Verifier(changeable).verify(DAYS[-1], [erasure.before.tx_id])
    assert proof.outcome is Outcome.MISMATCH
    assert proof.broken is not None
    assert "is still in a file" in proof.broken.detail


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"{}"), lambda path: path.unlink()])
def test_a_damaged_or_missing_record_of_the_wallet_is_a_mismatch(
    changeable: Home, erasure: ErasedHome, damage: Callable[[Path], object]
) -> None:
    """Without it the wallet would be let in again."""
    [path] = changeable.erasures.root.iterdir()
    damage(path)
    for tx_ids in (None, [erasure.before.tx_id]):
        proof = Verifier(changeable).verify(DAYS[-1], tx_ids)
        assert proof.outcome is Outcome.MISMATCH
        assert proof.broken is not None
        assert proof.broken.name == "erased wallets"


def test_a_transaction_that_a_correction_gave_to_another_wallet_is_proved(changeable: Home) -> None:
    """It had been the erased wallet's; its id is recorded, and the row that is there now is not that one."""
    rows = rows_of_day(changeable, DAYS[-1], SCORED, "scored")
    tx_id = str(next(row["TX_ID"] for row in rows if row["is_anomaly"]))
    [wallet] = changeable.erasures.wallets()
    record = wallet.and_also({DAYS[-1]: {changeable.erasures.mark_of("transaction", tx_id)}})
    changeable.erasures.write(record)
    entry = {"asset": "erasure", "wallet": record.mark, "record": record.record_id, "partitions": {}}
    changeable.log.append(entry, run_id="another", at=datetime(2024, 2, 1, tzinfo=UTC))
    proof = Verifier(changeable).verify(DAYS[-1], [tx_id])
    assert proof.outcome is Outcome.PROVEN, proof.broken


def test_a_lost_remainder_is_put_back_by_ingesting_the_day_again(changeable: Home) -> None:
    seal = changeable.lake.require(RAW, DAYS[-1])
    path = changeable.lake.path_of(seal, "transactions")
    before = path.read_bytes()
    path.unlink()
    settings = load_settings(overrides={"home": changeable.root}, environ=EVIDENCE)
    outcome = ingest_day(run_in(changeable), source_resource(settings).open(), settings.border_rules, DAYS[-1])
    assert (outcome.seal, outcome.changed) == (seal, False)
    assert path.read_bytes() == before


def test_a_day_ingested_again_does_not_bring_the_wallet_back_and_makes_nothing_stale(changeable: Home) -> None:
    before = contents(changeable)
    settings = load_settings(overrides={"home": changeable.root}, environ=EVIDENCE)
    source = source_resource(settings).open()
    for day in (DAYS[0], DAYS[-1]):
        outcome = ingest_day(run_in(changeable), source, settings.border_rules, day)
        assert not outcome.changed
        assert outcome.numbers["n_erased"] > 0
    assert contents(changeable) == before
    assert stale_partitions(changeable, settings.detection.settings_ids, OURS) == []


def test_days_are_scored_again_without_the_wallet(whole: Home) -> None:
    before = Before.of(whole)
    erase(whole, before.wallet)
    run, store, detection = (
        run_in(whole),
        StoreProvider.from_settings(RedisSettings()),
        Detection.of_record(Case.of(whole, DAYS[-1]).settings),
    )
    for day in DAYS:
        build_window(run, detection, CheckSettings(), day, first_day=date(2024, 1, 1), max_missing_days=0)
        assert train_models(run, store, detection, day).numbers["fitted"] == 0
        score_day(run, store, detection, day)
        measure_day(run, detection, day)
        proof = Verifier(whole).verify(day)
        assert proof.grades() == dict.fromkeys(Grade, Outcome.PROVEN), proof.broken
    assert rows_of(whole, SCORED, "scored") == before.others_scored
    assert files_naming(whole.root, [before.wallet]) == []


@pytest.mark.parametrize("point", ["decided", "staged", "recorded", "emptied", "logged"])
def test_stopped_anywhere_and_erased_again_nothing_is_found(whole: Home, point: str) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    before = Before.of(whole)
    with armed(f"erasure.{point}", stop), pytest.raises(KeyboardInterrupt):
        erase(whole, before.wallet)
    done = erase(whole, before.wallet)
    assert done.transactions == len(set(before.tx_ids))
    assert files_naming(whole.root, [before.wallet, *before.tx_ids]) == []
    assert_roots_hold(whole)
    assert not whole.models.ids(DAYS[-1]) & before.own_models
    assert Verifier(whole).verify(DAYS[-1], [before.tx_id]).outcome is Outcome.ERASED


def test_what_a_run_commits_while_the_wallet_is_erased_is_erased_too(whole: Home) -> None:
    """A day is trained after the wallet was looked for and before its raw days are emptied."""
    before, following = Before.of(whole), DAYS[-1] + timedelta(days=1)
    run, store = run_in(whole), StoreProvider.from_settings(RedisSettings())
    detection = Detection.of_record(Case.of(whole, DAYS[-1]).settings)
    trained: list[str] = []

    def train() -> None:
        build_window(run, detection, CheckSettings(), following, first_day=date(2024, 1, 1), max_missing_days=0)
        models = train_models(run, store, detection, following).tables["models"]
        own = models.filter(pc.equal(models.column("wallet_id"), before.wallet))
        trained.extend(set(own.column("model_id").to_pylist()))

    with armed("erasure.decided", train):
        done = erase(whole, before.wallet)
    assert trained
    assert not whole.models.ids(following) & set(trained)
    assert done.transactions == len(set(before.tx_ids))
    assert files_naming(whole.root, [before.wallet, *before.tx_ids]) == []


def test_a_published_file_is_emptied_although_the_day_s_seal_is_damaged(whole: Home) -> None:
    before = Before.of(whole)
    (whole.lake.local_folder(SCORED, DAYS[-1]) / "seal.json").write_bytes(b"damaged")
    erase(whole, before.wallet)
    rows = pq.read_table(whole.published_path(DAYS[-1]), partitioning=None).to_pylist()
    assert rows
    assert before.wallet not in {row["WALLET_ID"] for row in rows}


def test_a_model_that_another_wallet_has_too_is_kept(whole: Home) -> None:
    wallet = Before.of(whole).wallet
    models = whole.lake.read(whole.lake.require(MODELS, DAYS[-1]), "models")
    own = models.filter(pc.equal(models.column("wallet_id"), wallet))
    twin = own.set_column(own.column_names.index("wallet_id"), "wallet_id", pa.array(["twin"] * own.num_rows))
    with whole.lake.writing(MODELS, DAYS[-1], timeout_seconds=5) as writer:
        staged = writer.stage({"models": pa.concat_tables([models, twin.cast(models.schema)])})
        writer.commit(staged, revision="0" * 64, verdicts=[])
    erase(whole, wallet)
    assert set(own.column("model_id").to_pylist()) <= whole.models.ids(DAYS[-1])


def test_an_unknown_wallet_is_refused_and_a_second_erasure_changes_nothing(erasure: ErasedHome) -> None:
    shell, before, first = erasure
    was = shell.results()
    unknown = shell.run("erase", "nobody", *ASKED, "--yes", **EVIDENCE)
    assert unknown.returncode == 2
    assert "holds wallet 'nobody'" in unknown.stderr
    silent = shell.run("erase", before.wallet, *ASKED, **EVIDENCE)
    assert silent.returncode == 130, "without --yes it asks, and nobody answers"
    [recorded] = Home(shell.home).erasures.wallets()
    again = erase(Home(shell.home), before.wallet, replace(REQUEST, by="another clerk"))
    assert Home(shell.home).erasures.wallets() == [recorded], "the log names who asked again"
    assert [each.told.by for each in erasures_of(Home(shell.home))] == ["a clerk", "another clerk"]
    assert (again.transactions, again.files, again.served) == (first["transactions"], {}, 0)
    assert shell.results() == was


def test_an_erased_transaction_names_the_entry_of_its_erasure(erasure: ErasedHome) -> None:
    shell, before, done = erasure
    home = Home(shell.home)
    line, *_ = [entry for entry in home.log.entries() if entry["kind"] == "erasure"]
    assert line["request"] == {"by": "a clerk", "reason": "a contract ended", "ticket": "T-1"}
    [wallet] = home.erasures.wallets()
    assert wallet.request == line["request"]
    [proof] = shell.json("verify", before.tx_id, **EVIDENCE)["proofs"]
    [told] = proof["erasures"]
    assert (told["entry"], told["at"], told["record"]) == (line["sequence"], line["at"], wallet.record_id)
    assert (told["by"], told["reason"], told["ticket"]) == (done["by"], done["reason"], done["ticket"])
    said = shell.run("verify", before.tx_id, **EVIDENCE)
    assert said.returncode == 0
    where = f"entry {line['sequence']} of the log, {line['at']}"
    assert f"{where}: asked by: a clerk; reason: a contract ended; ticket: T-1" in said.stdout
    proven = shell.json("verify", "--day", str(DAYS[-1]), "--strict", **EVIDENCE)
    assert proven["proofs"][0]["erasures"] == []


def test_everything_that_is_asked_of_an_erased_transaction_names_the_entry(
    erasure: ErasedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trace, explanation, the page for an auditor, with or without a proof, and the dashboard."""
    shell, before, _ = erasure
    line, *_ = [entry for entry in Home(shell.home).log.entries() if entry["kind"] == "erasure"]
    said = (
        f"entry {line['sequence']} of the log, {line['at']}: asked by: a clerk; reason: a contract ended; ticket: T-1"
    )
    for command in ("trace", "explain"):
        done = shell.run(command, before.tx_id, **EVIDENCE)
        assert (done.returncode, said in done.stderr) == (2, True), command
    for more in ((), ("--verify",)):
        path = shell.folder / "flag.html"
        shell.run("explain", before.tx_id, "--html", str(path), *more, **EVIDENCE)
        page = path.read_text(encoding="utf-8")
        assert said in page
        assert ">erased</span>" in page
        path.unlink()
    monkeypatch.setenv("ANOMALY_HOME", str(shell.home))
    deployment.clear()
    screen = AppTest.from_file(str(APP), default_timeout=60)
    screen.query_params["tx"] = before.tx_id
    told = [each.value.replace("\\", "") for each in screen.run().info]
    deployment.clear()
    assert any(said in each for each in told), told


def test_a_log_that_cannot_be_read_keeps_nobody_from_the_answer(changeable: Home, erasure: ErasedHome) -> None:
    changeable.log.path.write_bytes(b"damaged\n" + changeable.log.path.read_bytes())
    done = Shell(changeable.root.parent).run("trace", erasure.before.tx_id, **EVIDENCE)
    assert (done.returncode, "was erased with its wallet" in done.stderr) == (2, True)


def test_strictly_what_was_erased_is_a_finding(erasure: ErasedHome) -> None:
    assert erasure.shell.run("verify", erasure.before.tx_id, "--strict", **EVIDENCE).returncode == 1


def test_erasures_are_listed_with_who_asked_and_why(erasure: ErasedHome, changeable: Home) -> None:
    shell, before, done = erasure
    listed, *_ = shell.json("erasures", **EVIDENCE)["erasures"]
    assert (listed["by"], listed["reason"], listed["ticket"]) == ASKED[1::2]
    assert (listed["state"], listed["transactions"]) == ("done", done["transactions"])
    printed = shell.run("erasures", **EVIDENCE)
    assert printed.returncode == 0
    assert before.wallet not in printed.stdout
    [path] = changeable.erasures.root.iterdir()
    path.unlink()
    lost = Shell(changeable.root.parent).run("erasures", "--json", **EVIDENCE)
    assert (lost.returncode, json.loads(lost.stdout)["erasures"][0]["state"]) == (1, "record gone")


def test_an_erasure_of_which_nobody_was_asked_keeps_its_bytes_and_says_so(changeable: Home) -> None:
    """As releases left them that did not ask."""
    [wallet] = changeable.erasures.wallets()
    older = replace(wallet, request=None)
    changeable.erasures.write(older)
    entry = {"asset": "erasure", "wallet": older.mark, "record": older.record_id, "partitions": {}}
    changeable.log.append(entry, run_id="older", at=datetime(2024, 2, 1, tzinfo=UTC))
    assert b"request" not in next(changeable.erasures.root.iterdir()).read_bytes()
    assert changeable.erasures.wallets() == [older]
    told = erasures_of(changeable)[-1]
    assert (told.state, told.told.by, told.told.at) == (ErasureState.DONE, None, "2024-02-01T00:00:00+00:00")
    assert "asked by: not recorded; reason: not recorded" in told.told.sentence


def test_an_erasure_that_was_begun_is_listed_as_unfinished(whole: Home) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with armed("erasure.decided", stop), pytest.raises(KeyboardInterrupt):
        erase(whole, Before.of(whole).wallet)
    [found] = erasures_of(whole)
    assert (found.state, found.told.entry, found.told.ticket) == (ErasureState.UNFINISHED, None, "T-1")


def test_a_text_that_names_the_wallet_or_a_transaction_is_refused_and_nothing_is_erased(whole: Home) -> None:
    before, was = Before.of(whole), contents(whole)
    for naming in (before.wallet, before.tx_ids[0], before.tx_ids[-1]):
        for name in ("by", "reason", "ticket"):
            with pytest.raises(SettingsError, match=f"the '{name}' of the erasure names the wallet or one of its"):
                erase(whole, before.wallet, replace(REQUEST, **{name: f"because of {naming}."}))
    assert contents(whole) == was
    assert not whole.erasures.root.exists()
    assert whole.log.head() == before.head


def test_a_transaction_that_is_already_gone_is_not_named_either(changeable: Home, erasure: ErasedHome) -> None:
    with pytest.raises(SettingsError, match="names the wallet or one of its transactions"):
        erase(changeable, erasure.before.wallet, replace(REQUEST, reason=f"again: {erasure.before.tx_id}"))


def test_without_a_terminal_who_why_and_ticket_are_compulsory(erasure: ErasedHome) -> None:
    head = Home(erasure.shell.home).log.head()
    for missing in ("--by", "--reason", "--ticket"):
        place = ASKED.index(missing)
        done = erasure.shell.run(
            "erase", erasure.before.wallet, *ASKED[:place], *ASKED[place + 2 :], "--yes", **EVIDENCE
        )
        assert done.returncode == 64
        assert f"{missing} missing: without a terminal nobody can be asked" in " ".join(done.stderr.split())
    assert Home(erasure.shell.home).log.head() == head


def test_at_a_terminal_they_are_asked_for_and_the_login_name_is_offered(erasure: ErasedHome) -> None:
    terminal, inside = pty.openpty()
    command = [str(Path(sys.executable).parent / "anomaly-assets"), "erase", "nobody", "--yes"]
    environment = {**erasure.shell.environment(), **EVIDENCE, "LOGNAME": "a-login"}
    options: dict[str, Any] = {"env": environment, "cwd": erasure.shell.folder}
    with subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, **options) as asking:
        os.close(inside)
        os.write(terminal, b"\na contract ended\nT-1\n")
        said = b""
        with suppress(OSError):  # what Linux answers when nobody has the other end any more
            while part := os.read(terminal, 4096):
                said += part
    os.close(terminal)
    told = " ".join(said.decode().split())
    for question in ("who has it erased [a-login]:", "why (no ids: it stays):", "ticket:", "holds wallet 'nobody'"):
        assert question in told, told
    assert asking.returncode == 2


def test_flags_are_picked_from_what_an_erasure_left(erasure: ErasedHome) -> None:
    """The metrics count what was erased, so the scores themselves are read."""
    home = Home(erasure.shell.home)
    sample = sample_flags(home, DAYS, 10_000, seed="a")
    assert sample.unread == []
    assert set(sample.picked[DAYS[-1]]).isdisjoint(erasure.before.tx_ids)
    assert verify_sample(home, DAYS[-1], 5, Compute()).passed


def test_an_erasure_while_the_store_is_away_is_ended_by_the_next_publication(proved: Path) -> None:
    """Files, log and Dagster's records forget at once; the store's part stays visible, and no exit code is 0."""
    with empty_folder() as folder:
        shutil.copytree(proved / "home", folder / "home")
        shell, before = Shell(folder), Before.of(Home(folder / "home"))
        away = {**EVIDENCE, "REDIS_URL": "redis://127.0.0.1:1/0"}
        done = shell.run_apart("erase", before.wallet, *ASKED, "--yes", "--json", **away)
        assert done.returncode == 1, done.stderr
        told = json.loads(done.stdout)
        assert (told["served"], "127.0.0.1:1" in told["store_waits"]) == (0, True)
        assert told["dagster_records"] > 0
        left = files_naming(shell.home, [before.wallet, *before.tx_ids])
        assert {Path(path).parts[0] for path in left} == {"store"}

        listed = shell.run("erasures", "--json", **EVIDENCE)
        states = [each["state"] for each in json.loads(listed.stdout)["erasures"]]
        assert (listed.returncode, states) == (1, ["store waits"])
        assert "anomaly-assets store publish" in listed.stderr
        status = shell.run("store", "status", **away)
        assert (status.returncode, "erased wallets that are to be taken out of it yet: 1" in status.stdout) == (3, True)

        assert shell.run_apart("store", "publish", **EVIDENCE).returncode == 0
        assert files_naming(shell.home, [before.wallet, *before.tx_ids]) == []
        assert shell.run("erasures", **EVIDENCE).returncode == 0
        assert shell.run("store", "status", **EVIDENCE).returncode == 0


def test_an_erasure_reaches_dagster_s_records_though_the_store_is_another_home_s(proved: Path) -> None:
    with empty_folder() as folder, empty_folder() as elsewhere:
        shutil.copytree(proved / "home", folder / "home")
        shell, before = Shell(folder), Before.of(Home(folder / "home"))
        other = EmbeddedStore(elsewhere / "home" / "store", 64)
        address = other.ensure_running()
        try:
            with Redis.from_url(address) as client:
                client.set("models:home", "another")
            done = shell.run_apart(
                "erase", before.wallet, *ASKED, "--yes", "--json", **{**EVIDENCE, "REDIS_URL": address}
            )
        finally:
            other.stop()
        assert done.returncode == 1, done.stderr
        told = json.loads(done.stdout)
        assert told["dagster_records"] > 0
        assert told["store_waits"]
