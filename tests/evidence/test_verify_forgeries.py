"""`verify`: a forgery whose seals, digests, files and log were all made to fit it is found by what it claims."""

import gc
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain import judging, training
from anomaly_assets.domain.detectors.base import Model
from anomaly_assets.domain.identity import digest_of
from anomaly_assets.domain.lineage import METRICS
from anomaly_assets.domain.published import with_provenance
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.proof import Grade, Outcome
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.steps.run import Run
from evidence.conftest import DAYS

DAY = DAYS[-1]
PROVEN = dict.fromkeys(Grade, Outcome.PROVEN)
NOW = datetime(2024, 2, 1, tzinfo=UTC)
Rows = list[dict[str, Any]]


def publish(home: Home, seal: Seal, role: str, table: pa.Table, *, revision: str, **changed: Any) -> Seal:
    """Another seal in place of ``seal``, current, recorded and logged."""
    run = Run(home, "forger", lambda: NOW, lambda _: None, lock_timeout_seconds=5)
    kept = {name: getattr(seal, name) for name in ("inputs", "counts", "settings_id", "generation")}
    with run.writing(home.lake, seal.asset, seal.day) as writer:
        forged, _ = writer.commit(writer.stage({role: table}), verdicts=(), revision=revision, **{**kept, **changed})
    run.log(forged)
    return forged


def forge_window(home: Home, change: Callable[[Rows], None]) -> None:
    """Other rows of ``training_window``, and models and scores that name them."""
    case = Case.of(home, DAY)
    table, ids = changed(case.window_table, change), (case.manifest.manifest_id, case.models.inputs["fit_id"])
    window = publish(home, case.window, "wallets", table, revision=digest_of([table_digest(table), *ids]))
    _forge_models(home, replace(case, window=window), case.models_table)


def forge_models(home: Home, change: Callable[[Rows], None]) -> None:
    """Other rows of ``wallet_models``, and scores that name them."""
    case = Case.of(home, DAY)
    _forge_models(home, case, changed(case.models_table, change))


def _forge_models(home: Home, case: Case, table: pa.Table) -> None:
    inputs = {**case.models.inputs, "window": case.window.revision}
    revision = digest_of([table_digest(table), case.window.revision])
    models = publish(home, case.models, "models", table, revision=revision, inputs=inputs)
    forge_scores(home, case.published, models=models.revision, window=case.window.revision)


def forge_scores(home: Home, table: pa.Table, **inputs: str) -> None:
    """Another table of scores, or other inputs of them, its published file, and metrics that name the same window."""
    old = Case.of(home, DAY).scored
    new = publish(home, old, "scored", table, revision=table_digest(table), inputs={**old.inputs, **inputs})
    home.published_path(DAY).write_bytes(home.lake.read_bytes(new, "scored"))
    metrics = home.lake.require(METRICS, DAY)
    measured = {**metrics.inputs, "window": new.inputs["window"]}
    publish(home, metrics, "metrics", home.lake.read(metrics, "metrics"), revision=metrics.revision, inputs=measured)


def changed(table: pa.Table, change: Callable[[Rows], None]) -> pa.Table:
    rows = table.to_pylist()
    change(rows)
    return table.slice(0, 0).from_pylist(rows, schema=table.schema)


def idle_wallet(home: Home, among: Iterable[str]) -> str:
    """A wallet of the window that has no row on the day."""
    return min(set(among) - set(Case.of(home, DAY).published.column("WALLET_ID").to_pylist()))


def require_mismatch(home: Home, grade: Grade, link: str, told: str) -> None:
    """The whole day fails at that link; nothing of lower grades does."""
    proof = Verifier(home).verify(DAY)
    assert proof.broken is not None
    assert (proof.broken.grade, proof.broken.name, proof.broken.outcome) == (grade, link, Outcome.MISMATCH), proof
    assert told in proof.broken.detail


def a_flag(home: Home) -> str:
    published = Case.of(home, DAY).published
    return str(published.filter(published.column("is_anomaly")).column("TX_ID")[0].as_py())


def test_a_size_that_is_not_the_payloads(home: Home) -> None:
    forge_models(home, lambda rows: rows[3].update(n_bytes=rows[3]["n_bytes"] + 1))
    require_mismatch(home, Grade.RE_TRAINED, "models", "the size of the")


def test_a_model_that_is_listed_twice(home: Home) -> None:
    forge_models(home, lambda rows: rows.insert(1, rows[0]))
    require_mismatch(home, Grade.INTACT, "model payloads", "lists 2")


def test_a_model_of_a_wallet_without_a_row_on_the_day(home: Home) -> None:
    """The whole day's proof trains it again; a transaction's proof is about its own wallet."""
    idle = idle_wallet(home, Case.of(home, DAY).models_table.column("wallet_id").to_pylist())

    def change(rows: Rows) -> None:
        mine = next(row for row in rows if row["wallet_id"] == idle)
        other = next(row for row in rows if row["wallet_id"] != idle and row["detector"] == mine["detector"])
        mine.update(model_id=other["model_id"], summary=other["summary"], n_bytes=other["n_bytes"])

    forge_models(home, change)
    require_mismatch(home, Grade.RE_TRAINED, "models", repr(idle))
    single = Verifier(home).verify(DAY, [a_flag(home)])
    assert single.grades() == PROVEN, single.broken


def test_a_window_row_of_a_wallet_without_a_row_on_the_day(home: Home) -> None:
    idle = idle_wallet(home, Case.of(home, DAY).window_table.column("wallet_id").to_pylist())
    forge_window(
        home,
        lambda rows: next(row for row in rows if row["wallet_id"] == idle).update(amount_max=1e9),
    )
    require_mismatch(home, Grade.RE_TRAINED, "window", f"amount_max of {idle!r}")


def test_a_wallet_whose_rows_were_left_out_of_the_scores(home: Home) -> None:
    table = Case.of(home, DAY).published
    rest = table.filter(pc.not_equal(table.column("WALLET_ID"), table.column("WALLET_ID")[0]))
    manifest_id, settings_id = Case.of(home, DAY).manifest.manifest_id, Case.of(home, DAY).scored.settings_id or ""
    forge_scores(home, with_provenance(rest, day=DAY, manifest_id=manifest_id, settings_id=settings_id))
    require_mismatch(home, Grade.RE_SCORED, "verdicts", "the number of rows")


@pytest.mark.parametrize(
    "key", ["format_version", "day", "window_manifest", "settings_id", "content_digest", "something_else"]
)
def test_a_published_file_that_says_something_else_of_itself(home: Home, key: str) -> None:
    table = Case.of(home, DAY).published
    name = f"anomaly_assets.{key}"
    forge_scores(home, table.replace_schema_metadata({**table.schema.metadata, name.encode(): b"0"}))
    require_mismatch(home, Grade.INTACT, "scored_transactions", name)


def test_a_published_file_that_says_one_thing_twice(home: Home) -> None:
    """Which of both a program reads is its own choice."""
    table = Case.of(home, DAY).published
    twice = pa.KeyValueMetadata([*table.schema.metadata.items(), (b"anomaly_assets.day", b"2024-01-17")])
    forge_scores(home, table.replace_schema_metadata(twice))
    require_mismatch(home, Grade.INTACT, "scored_transactions", "metadata")


def test_scores_that_name_another_manifest_than_their_window(home: Home) -> None:
    forge_scores(home, Case.of(home, DAY).published, manifest_id="f" * 64)
    require_mismatch(home, Grade.INTACT, "training_window", "the scores' manifest")


def test_settings_that_say_the_same_in_other_bytes(home: Home) -> None:
    path = home.settings / f"{Case.of(home, DAY).scored.settings_id}.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=1))
    require_mismatch(home, Grade.INTACT, "settings", "other bytes")


def test_metrics_that_do_not_follow_from_the_scores_they_name(home: Home) -> None:
    seal = home.lake.require(METRICS, DAY)
    table = changed(home.lake.read(seal, "metrics"), lambda rows: rows[0].update(n_flagged=0))
    publish(home, seal, "metrics", table, revision=table_digest(table))
    require_mismatch(home, Grade.INTACT, "anomaly_metrics", "n_flagged of")


@pytest.mark.parametrize("forged", [False, True])
def test_what_is_found_does_not_depend_on_the_number_of_threads(home: Home, forged: bool) -> None:
    """Of several forged models the same one is named."""

    def forge(rows: Rows) -> None:
        for row in rows[::5]:
            row["summary"] = "{}"

    if forged:
        forge_models(home, forge)
    found = [Verifier(home, compute=Compute(threads)).verify(DAY).as_json() for threads in (1, 2)]
    assert found[0] == found[1]
    assert found[0]["outcome"] == ("mismatch" if forged else "proven")


def test_a_whole_day_is_proved_some_models_at_a_time_and_says_how_far_it_is(
    untouched: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With shards of a few wallets no more than a few models are in memory whenever something is said."""
    monkeypatch.setattr(judging, "WALLETS_AT_ONCE", 4)
    monkeypatch.setattr(training, "SHARD_COST", 4 * training.COST_OF_A_MODEL)
    n_models, told, held = len(Case.of(untouched, DAY).listed(None)), list[str](), list[int]()

    def say(sentence: str) -> None:
        told.append(sentence)
        gc.collect()
        held.append(sum(isinstance(thing, Model) for thing in gc.get_objects()))

    gc.collect()
    before = sum(isinstance(thing, Model) for thing in gc.get_objects())
    assert Verifier(untouched, say=say).verify(DAY).grades() == PROVEN
    assert told[-1] == f"{DAY}: fitted {n_models} of {n_models} models"
    assert any(": judged by" in sentence for sentence in told)
    assert max(held) - before <= 8 < n_models


def test_a_transaction_is_proved_without_saying_how_far_it_is(untouched: Home) -> None:
    told: list[str] = []
    assert Verifier(untouched, say=told.append).verify(date(2024, 1, 18), [a_flag(untouched)]).grades() == PROVEN
    assert told == []
