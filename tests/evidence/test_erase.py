"""`erase`: one wallet is gone from everything a home holds, and every other wallet is still proved."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from cli.conftest import Shell, empty_folder

from anomaly_assets.adapters import failpoints
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.wallet_leaves import root_of, wallet_leaves
from anomaly_assets.evidence import published, remains
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.proof import Grade, Outcome
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.resources.source import source_resource
from anomaly_assets.settings import CheckSettings, RedisSettings, load_settings
from anomaly_assets.steps.ingest import ingest_day
from anomaly_assets.steps.measure import measure_day
from anomaly_assets.steps.run import MODELS, RAW, SCORED, WINDOW, Run
from anomaly_assets.steps.score import score_day
from anomaly_assets.steps.train import train_models
from anomaly_assets.steps.window import build_window
from evidence.conftest import DAYS, EVIDENCE

DETECTORS = ("statistical", "isolation_forest")


@pytest.fixture
def shell(proved: Path) -> Iterator[Shell]:
    """The scored home with its store and Dagster's records, to be erased from."""
    with empty_folder() as folder:
        shutil.copytree(proved / "home", folder / "home")
        yield Shell(folder)


def flag_of(home: Home) -> tuple[str, str]:
    """Id and wallet of a flagged transaction of the last day."""
    scored = home.lake.read(home.lake.require(SCORED, DAYS[-1]), "scored")
    flagged = scored.filter(scored.column("is_anomaly"))
    return flagged.column("TX_ID")[0].as_py(), flagged.column("WALLET_ID")[0].as_py()


def files_naming(folder: Path, texts: list[str]) -> list[str]:
    """Files whose bytes, or whose rows when they are parquet, hold one of the texts."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += json.dumps(pq.read_table(path, partitioning=None).to_pylist(), default=str).encode()
        if any(text.encode() in content for text in texts):
            found.append(str(path.relative_to(folder)))
    return found


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


def test_nothing_of_the_wallet_is_found_anywhere_and_everything_else_is_as_it_was(shell: Shell) -> None:
    home = Home(shell.home)
    tx_id, wallet = flag_of(home)
    tx_ids = [str(row["tx_id"]) for row in rows_of(home, RAW, "transactions") if row["wallet_id"] == wallet]
    listed = rows_of(home, MODELS, "models")
    own_models, others = ({row["model_id"] for row in listed if (row["wallet_id"] == wallet) is own} for own in (1, 0))
    rest = [row for row in rows_of(home, SCORED, "scored") if row["WALLET_ID"] != wallet]
    assert tx_id in tx_ids
    assert files_naming(shell.home / "dagster", [wallet, tx_id])
    assert files_naming(shell.home / "store", [wallet])

    done = shell.json("erase", wallet, "--yes", **EVIDENCE)

    assert done["transactions"] == len(set(tx_ids))
    assert done["served"] == len(DETECTORS)
    assert done["dagster_records"] > 0
    assert done["head"] == home.log.head()
    assert files_naming(shell.home, [wallet, *tx_ids]) == []
    assert rows_of(home, SCORED, "scored") == rest
    for day in DAYS:
        file = pq.read_table(home.published_path(day), partitioning=None).to_pylist()
        assert file == rows_of_day(home, day, SCORED, "scored")
    assert not home.models.ids(DAYS[-1]) & (own_models - others)
    with StoreProvider.from_settings(RedisSettings()).open(home) as store:
        published_now = store.published()
        assert published_now is not None
        served = store.published_model_ids(as_of=published_now.as_of, generation=published_now.generation)
        assert served is not None
        assert len(served) == published_now.count == store.count()
        assert wallet not in {key.wallet_id for key in served}
    assert_roots_hold(home)


def test_every_other_wallet_is_still_proved_and_the_flags_of_this_one_answer_erased(shell: Shell) -> None:
    home = Home(shell.home)
    tx_id, wallet = flag_of(home)
    kept_head = home.log.head()
    shell.json("erase", wallet, "--yes", **EVIDENCE)
    verifier = Verifier(home, head=kept_head)
    for day in DAYS:
        proof = verifier.verify(day)
        assert proof.grades() == dict.fromkeys(Grade, Outcome.PROVEN), proof.broken
        assert proof.notes == [remains.NOTE, published.METRICS_NOTE]
    assert verifier.verify(DAYS[-1], [tx_id]).outcome is Outcome.ERASED
    for arguments in ((tx_id,), (tx_id, "--day", str(DAYS[-1]))):
        report = shell.json("verify", *arguments, **EVIDENCE)
        assert report["outcomes"] == {"proven": 0, "erased": 1, "mismatch": 0, "missing": 0}
        assert "erased with its wallet" in report["proofs"][0]["links"][-1]["detail"]
    shown = shell.run("verify", tx_id, **EVIDENCE)
    assert (shown.returncode, "erased" in shown.stdout) == (0, True)
    for command in ("trace", "explain"):
        refused = shell.run(command, "--", tx_id, **EVIDENCE)
        assert refused.returncode != 0
        assert "erased with its wallet (it was of 2024-01-18)" in refused.stderr


def _another_row(table: pa.Table) -> pa.Table:
    column = "total_amount" if "total_amount" in table.column_names else "TOTAL_AMOUNT"
    amounts = table.column(column).to_pylist()
    amounts[0] += 1
    return table.set_column(table.column_names.index(column), column, pa.array(amounts))


@pytest.mark.parametrize(("asset", "role"), [(RAW, "transactions"), (SCORED, "scored")])
@pytest.mark.parametrize("change", [_another_row, lambda table: table.slice(1)])
def test_rows_changed_or_taken_under_cover_of_an_erasure_are_found(
    shell: Shell, asset: str, role: str, change: Callable[[pa.Table], pa.Table]
) -> None:
    """Every digest is made to fit, and the log too: the root that was sealed long before does not."""
    home = Home(shell.home)
    _, wallet = flag_of(home)
    shell.json("erase", wallet, "--yes", **EVIDENCE)
    day = DAYS[-1]
    seal, record = home.lake.require(asset, day), home.lake.erased(asset, day)
    sealed = seal.files[role].sha256
    with home.lake.writing(asset, day, timeout_seconds=5) as writer:
        forged = writer.stage({role: change(home.lake.read(seal, role))})
        file = forged.files[role]
        forged.path(role).rename(home.lake.folder(asset, day) / file.name)
        again = replace(record, remainders={**record.remainders, sealed: replace(record.remainders[sealed], file=file)})
        (home.lake.folder(asset, day) / "erased.json").write_bytes(again.to_bytes())
    home.log.append(
        {"asset": "erasure", "wallet": "", "record": "", "partitions": {f"{asset}/{day}": again.record_id}},
        run_id="forger",
        at=datetime(2024, 2, 1, tzinfo=UTC),
    )
    if asset == SCORED:
        home.published_path(day).write_bytes(home.lake.read_bytes(seal, role))
    proof = Verifier(home).verify(day)
    assert proof.outcome is Outcome.MISMATCH
    assert proof.broken is not None
    assert f"the root of the {role} of {asset} of {day}" in proof.broken.detail


def test_rows_that_are_gone_without_an_entry_of_the_log_are_a_mismatch(shell: Shell) -> None:
    home = Home(shell.home)
    tx_id, wallet = flag_of(home)
    shell.run("erase", wallet, "--yes", **EVIDENCE, **{failpoints.ENV: "erasure.done=kill"})
    for proof in (Verifier(home).verify(DAYS[-1]), Verifier(home).verify(DAYS[-1], [tx_id])):
        assert proof.outcome is Outcome.MISMATCH
        assert proof.broken is not None
        assert "by an erasure that the publication log does not name" in proof.broken.detail


def test_an_erased_row_that_was_put_back_is_a_mismatch(shell: Shell) -> None:
    home = Home(shell.home)
    tx_id, wallet = flag_of(home)
    folder = home.lake.folder(RAW, DAYS[-1])
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    shell.json("erase", wallet, "--yes", **EVIDENCE)
    (folder / "erased.json").unlink()
    for name, content in before.items():
        (folder / name).write_bytes(content)
    proof = Verifier(home).verify(DAYS[-1], [tx_id])
    assert proof.outcome is Outcome.MISMATCH
    assert proof.broken is not None
    assert "is still in a file" in proof.broken.detail


def test_a_day_ingested_again_does_not_bring_the_wallet_back_and_makes_nothing_stale(shell: Shell) -> None:
    home = Home(shell.home)
    _, wallet = flag_of(home)
    shell.json("erase", wallet, "--yes", **EVIDENCE)
    before = shell.results()
    settings = load_settings(overrides={"home": shell.home}, environ=EVIDENCE)
    source = source_resource(settings).open()
    for day in (DAYS[0], DAYS[-1]):
        outcome = ingest_day(run_in(home), source, settings.border_rules, day)
        assert not outcome.changed
        assert outcome.numbers["n_erased"] > 0
    assert shell.results() == before
    assert shell.json("stale", **EVIDENCE)["stale"] == []


def test_days_are_scored_again_without_the_wallet(shell: Shell) -> None:
    home = Home(shell.home)
    _, wallet = flag_of(home)
    shell.json("erase", wallet, "--yes", **EVIDENCE)
    before = {day: rows_of_day(home, day, SCORED, "scored") for day in DAYS}
    run, store, detection = (
        run_in(home),
        StoreProvider.from_settings(RedisSettings()),
        Case.of(home, DAYS[-1]).detection,
    )
    for day in DAYS:
        build_window(run, detection, CheckSettings(), day, first_day=date(2024, 1, 1), max_missing_days=0)
        assert train_models(run, store, detection, day).numbers["fitted"] == 0
        score_day(run, store, detection, day)
        measure_day(run, detection, day)
    assert {day: rows_of_day(home, day, SCORED, "scored") for day in DAYS} == before
    following = DAYS[-1] + timedelta(days=1)
    shell.json("backfill", "--from", str(DAYS[0]), "--to", str(following), **EVIDENCE)
    assert {row["WALLET_ID"] for row in rows_of_day(home, following, SCORED, "scored")}
    assert files_naming(shell.home, [wallet]) == []


@pytest.mark.parametrize("point", ["decided", "staged", "recorded", "done"])
def test_killed_anywhere_and_erased_again_nothing_is_found(shell: Shell, point: str) -> None:
    home = Home(shell.home)
    _, wallet = flag_of(home)
    tx_ids = [str(row["tx_id"]) for row in rows_of(home, RAW, "transactions") if row["wallet_id"] == wallet]
    killed = shell.run("erase", wallet, "--yes", **EVIDENCE, **{failpoints.ENV: f"erasure.{point}=kill"})
    assert killed.returncode == -signal.SIGKILL
    done = shell.json("erase", wallet, "--yes", **EVIDENCE)
    assert done["transactions"] == len(set(tx_ids))
    assert files_naming(shell.home, [wallet, *tx_ids]) == []
    assert_roots_hold(home)


def test_a_model_that_another_wallet_has_too_is_kept(shell: Shell) -> None:
    home = Home(shell.home)
    _, wallet = flag_of(home)
    seal = home.lake.require(MODELS, DAYS[-1])
    models = home.lake.read(seal, "models")
    own = models.filter(pc.equal(models.column("wallet_id"), wallet))
    twin = own.set_column(own.column_names.index("wallet_id"), "wallet_id", pa.array(["twin"] * own.num_rows))
    with home.lake.writing(MODELS, DAYS[-1], timeout_seconds=5) as writer:
        staged = writer.stage({"models": pa.concat_tables([models, twin.cast(models.schema)])})
        writer.commit(staged, revision="0" * 64, verdicts=[])
    kept = set(own.column("model_id").to_pylist())
    shell.json("erase", wallet, "--yes", **EVIDENCE)
    assert kept <= home.models.ids(DAYS[-1])


def test_an_unknown_wallet_and_a_second_erasure_change_nothing(shell: Shell) -> None:
    _, wallet = flag_of(Home(shell.home))
    before = shell.results()
    unknown = shell.run("erase", "nobody", "--yes", **EVIDENCE)
    assert unknown.returncode == 2
    assert "holds wallet 'nobody'" in unknown.stderr
    refused = shell.run("erase", wallet, **EVIDENCE)
    assert refused.returncode == 1, "without --yes it asks, and nobody answers"
    assert shell.results() == before
    first = shell.json("erase", wallet, "--yes", **EVIDENCE)
    after = shell.results()
    second = shell.json("erase", wallet, "--yes", **EVIDENCE)
    assert (second["transactions"], second["files"], second["served"]) == (first["transactions"], {}, 0)
    assert shell.results() == after
