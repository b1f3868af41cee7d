"""`verify`: what was published is proved from files alone, and whatever is changed is found and named."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cli.conftest import empty_folder

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.sources.synthetic import SyntheticSource
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.border import BorderRules
from anomaly_assets.domain.detectors.base import Model
from anomaly_assets.domain.errors import Superseded
from anomaly_assets.domain.identity import digest_of
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.model_codec import encode
from anomaly_assets.domain.published import with_provenance
from anomaly_assets.domain.recipes import summary_of
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.evidence.again import scored_again
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.proof import Grade, Outcome, Proof
from anomaly_assets.evidence.sample import sample_flags
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.settings import CheckSettings, Detection, RedisSettings
from anomaly_assets.steps.ingest import ingest_day
from anomaly_assets.steps.measure import measure_day
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.score import score_day
from anomaly_assets.steps.train import train_models
from anomaly_assets.steps.window import build_window
from evidence.conftest import DAYS

DAY = DAYS[-1]
PROVEN = dict.fromkeys(Grade, Outcome.PROVEN)
NOW = datetime(2024, 2, 1, tzinfo=UTC)


def flags_of(home: Home, day: date) -> list[str]:
    scored = home.lake.read(home.lake.require(SCORED, day), "scored")
    ids: list[str] = scored.filter(scored.column("is_anomaly")).column("TX_ID").to_pylist()
    return ids


def run_in(home: Home) -> Run:
    return Run(home, "another-run", lambda: NOW, lambda _: None, lock_timeout_seconds=5)


def test_every_row_of_every_day_is_proved_at_three_grades(untouched: Home) -> None:
    verifier = Verifier(untouched, head=untouched.log.head())
    for day in DAYS:
        proof = verifier.verify(day)
        assert proof.grades() == PROVEN, proof.broken
        assert proof.notes == []


def test_flags_picked_at_random_are_proved_one_by_one(untouched: Home) -> None:
    picked = sample_flags(untouched, DAYS, 8, seed="a").picked
    assert sum(map(len, picked.values())) == 8
    for day, tx_ids in picked.items():
        assert set(tx_ids) <= set(flags_of(untouched, day))
        for tx_id in tx_ids:
            assert Verifier(untouched).verify(day, [tx_id]).grades() == PROVEN


def test_the_same_seed_picks_the_same_flags_and_another_one_others(untouched: Home) -> None:
    assert sample_flags(untouched, DAYS, 5, seed="a") == sample_flags(untouched, DAYS, 5, seed="a")
    assert sample_flags(untouched, DAYS, 5, seed="a") != sample_flags(untouched, DAYS, 5, seed="b")
    everything = sample_flags(untouched, DAYS, 10_000, seed="a").picked
    assert {day: sorted(ids) for day, ids in everything.items()} == {
        day: sorted(flags) for day in DAYS if (flags := flags_of(untouched, day))
    }


def _file(asset: str, role: str, day: date = DAY) -> Callable[[Home], Path]:
    return lambda home: home.lake.path_of(home.lake.require(asset, day), role)


def _seal(asset: str, name: Callable[[Seal], str]) -> Callable[[Home], Path]:
    return lambda home: home.lake.local_folder(asset, DAY) / name(home.lake.require(asset, DAY))


def _published(home: Home) -> Path:
    return home.root / "output" / home.published_path(DAY).name


CHANGED: dict[str, tuple[Callable[[Home], Path], str]] = {
    "the raw day": (_file(RAW, "transactions"), RAW),
    "the quarantine of the raw day": (_file(RAW, "quarantine"), RAW),
    "a raw day of the window": (_file(RAW, "transactions", date(2024, 1, 9)), f"{RAW}/2024-01-09"),
    "a raw day's digests by wallet": (_file(RAW, "wallets", date(2024, 1, 9)), f"{RAW}/2024-01-09"),
    "the window": (_file(WINDOW, "wallets"), WINDOW),
    "the manifest in the window's seal": (_seal(WINDOW, lambda s: f"seals/{s.revision}.json"), WINDOW),
    "the list of models": (_file(MODELS, "models"), MODELS),
    "a scored row": (_file(SCORED, "scored"), SCORED),
    "the current seal": (_seal(SCORED, lambda _: "seal.json"), SCORED),
    "the recorded seal": (_seal(MODELS, lambda s: f"seals/all/{s.seal_id}.json"), MODELS),
    "the published file": (
        lambda home: home.root / "output" / home.published_path(DAY).name,
        "labeled_transactions_20240118",
    ),
    "the metrics": (_file("anomaly_metrics", "metrics"), "anomaly_metrics"),
    "the publication log": (lambda home: home.log.path, "publication_log"),
    "the settings": (lambda home: next(home.settings.iterdir()), "settings"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_one_changed_byte_is_found_and_its_file_named(home: Home, what: str) -> None:
    path_of, named = CHANGED[what]
    path = path_of(home)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    proof = Verifier(home).verify(DAY)
    assert proof.outcome is Outcome.MISMATCH
    assert proof.broken is not None
    assert named in f"{proof.broken.name} {proof.broken.detail}"


def test_a_changed_byte_of_a_model_is_found_whichever_pack_holds_it(home: Home) -> None:
    for pack in home.models.root.rglob("*.parquet"):
        content = pack.read_bytes()
        pack.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    proof = Verifier(home).verify(DAY)
    assert proof.outcome is Outcome.MISMATCH
    assert proof.broken is not None
    assert proof.broken.name == "model payloads"


@pytest.mark.parametrize(
    "path_of",
    [
        _file(RAW, "transactions"),
        _file(RAW, "wallets", date(2024, 1, 9)),
        _file(MODELS, "models"),
        _file(SCORED, "scored"),
        _file("anomaly_metrics", "metrics"),
        lambda home: home.published_path(DAY),
    ],
)
def test_a_file_that_is_gone_is_missing_and_named(home: Home, path_of: Callable[[Home], Path]) -> None:
    path = path_of(home)
    path.unlink()
    proof = Verifier(home).verify(DAY)
    assert proof.outcome is Outcome.MISSING
    assert proof.broken is not None
    assert path.name in proof.broken.detail


def test_settings_that_are_gone_are_the_broken_link_of_a_transaction_too(home: Home) -> None:
    tx_id = str(Case.of(home, DAY).published.column("TX_ID")[0])
    (home.settings / f"{Case.of(home, DAY).scored.settings_id}.json").unlink()
    for proof in (Verifier(home).verify(DAY), Verifier(home).verify(DAY, [tx_id])):
        assert proof.outcome is Outcome.MISSING
        assert proof.broken is not None
        assert proof.broken.name == "settings"
        assert "scored_transactions" in [link.name for link in proof.links if link.outcome is Outcome.PROVEN]


def test_a_link_that_leads_nowhere_in_place_of_a_file_is_a_mismatch(home: Home) -> None:
    path = _file(SCORED, "scored")(home)
    path.unlink()
    path.symlink_to("nowhere")
    assert Verifier(home).verify(DAY).outcome is Outcome.MISMATCH


def test_a_raw_day_whose_revision_is_gone_is_missing(home: Home) -> None:
    shutil.rmtree(home.lake.local_folder(RAW, date(2024, 1, 9)))
    proof = Verifier(home).verify(DAY)
    assert proof.outcome is Outcome.MISSING
    assert proof.broken is not None
    assert "2024-01-09" in proof.broken.detail
    assert proof.grades()[Grade.RE_SCORED] is Outcome.PROVEN


def test_a_window_that_settings_and_first_day_do_not_give_is_a_mismatch(home: Home) -> None:
    """The seals are consistent, but a window from this first day would begin later."""
    record = home.root / "home.json"
    record.write_text(record.read_text().replace("2024-01-01", "2024-01-08"))
    proof = Verifier(home).verify(DAY)
    assert proof.outcome is Outcome.MISMATCH
    assert proof.broken is not None
    assert proof.broken.name == "training_window"
    assert "[2024-01-08, 2024-01-18)" in proof.broken.detail


def test_a_grade_that_could_not_be_examined_to_its_end_is_not_proven(home: Home) -> None:
    """A file that cannot be read, here because a folder lies in its place."""
    path = _file(MODELS, "models")(home)
    path.unlink()
    path.mkdir()
    proof = Verifier(home).verify(DAY)
    assert proof.outcome is Outcome.MISSING
    assert Outcome.PROVEN not in proof.grades().values()


def test_models_whose_payloads_are_gone_are_fitted_again_and_proved(home: Home) -> None:
    shutil.rmtree(home.models.root)
    proof = Verifier(home).verify(DAY)
    assert proof.grades() == PROVEN
    assert "not kept any more" in " ".join(proof.notes)


def test_a_transaction_that_is_not_scored_on_that_day_is_missing(untouched: Home) -> None:
    proof = Verifier(untouched).verify(DAYS[0], flags_of(untouched, DAY)[:1])
    assert proof.outcome is Outcome.MISSING


def test_a_consistent_forgery_fails_where_models_are_trained_again_and_at_the_head_that_was_kept(home: Home) -> None:
    """Another valid model in place of one that flagged, and every digest, seal, file and log entry made to fit it."""
    kept_head = home.log.head()
    tx_id = _forge(home)
    case = Case.of(home, DAY)
    assert not case.row(tx_id).is_anomaly
    assert home.log.head() != kept_head
    proof = Verifier(home).verify(DAY, [tx_id])
    grades = proof.grades()
    assert grades[Grade.INTACT] is Outcome.PROVEN, proof.broken
    assert grades[Grade.RE_SCORED] is Outcome.PROVEN, proof.broken
    assert grades[Grade.RE_TRAINED] is Outcome.MISMATCH
    anchored = Verifier(home, head=kept_head).verify(DAY, [tx_id])
    assert anchored.broken is not None
    assert anchored.broken.name == "publication log"


def _forge(home: Home) -> str:
    """Replace the z-score model behind a flag by one that does not flag; returns the transaction."""
    case = Case.of(home, DAY)
    flagged = case.published.filter(case.published.column("statistical_anomaly")).to_pylist()[0]
    key = ("statistical", flagged["WALLET_ID"])
    honest = case.models_of([flagged["WALLET_ID"]])[key]
    forged = Model("statistical", honest.parameters, {**honest.arrays, "std": honest.arrays["std"] * 50})
    home.models.put(DAY, [(forged.model_id, encode(forged))])
    rows = case.models_table.to_pylist()
    for row in rows:
        if (row["detector"], row["wallet_id"]) == key:
            row |= {"model_id": forged.model_id, "summary": summary_of(forged), "n_bytes": len(encode(forged))}
    table = case.models_table.slice(0, 0).from_pylist(rows, schema=case.models_table.schema)
    entries = [entry for entry in home.log.entries() if (entry["day"], entry["asset"]) not in _forged_parts()]
    run = run_in(home)
    with run.writing(home.lake, MODELS, DAY) as writer:
        staged = writer.stage({"models": table})
        seal = replace(case.models, revision=digest_of([table_digest(table), case.window.revision]))
        sealed = {k: getattr(seal, k) for k in ("inputs", "counts", "settings_id", "generation")}
        new_models, _ = writer.commit(staged, revision=seal.revision, verdicts=(), **sealed)
    forged_case = Case(home, case.scored, case.raw, case.window, new_models, case.compute)
    scored = scored_again(forged_case, None, print)
    with run.writing(home.lake, SCORED, DAY) as writer:
        manifest, settings_id = case.manifest.manifest_id, case.scored.settings_id or ""
        staged = writer.stage(
            {"scored": with_provenance(scored, day=DAY, manifest_id=manifest, settings_id=settings_id)}
        )
        sealed = {k: getattr(case.scored, k) for k in ("counts", "settings_id", "generation")}
        inputs = {**case.scored.inputs, "models": new_models.revision}
        new_scored, _ = writer.commit(staged, revision=table_digest(scored), verdicts=(), inputs=inputs, **sealed)
    home.published_path(DAY).write_bytes(home.lake.read_bytes(new_scored, "scored"))
    shutil.rmtree(home.lake.local_folder("anomaly_metrics", DAY))
    home.log.path.unlink()
    for entry in entries:
        core = {k: entry[k] for k in ("asset", "day", "revision", "seal_id", "generation", "files")}
        home.log.append(core, run_id=entry["run_id"], at=datetime.fromisoformat(entry["at"]))
    for new in (new_models, new_scored):
        run.log(new)
    return str(flagged["TX_ID"])


def _forged_parts() -> set[tuple[str, str]]:
    return {(str(DAY), asset) for asset in (MODELS, SCORED, "anomaly_metrics")}


def test_flags_still_verify_against_the_revision_of_a_raw_day_that_was_corrected(home: Home) -> None:
    corrected = date(2024, 1, 9)
    other = SyntheticSource(seed=99, wallets=40, transactions_per_day=200, first_day=date(2024, 1, 1))
    before = home.lake.require(RAW, corrected).revision
    ingest_day(run_in(home), other, BorderRules(), corrected)
    assert home.lake.require(RAW, corrected).revision != before
    assert Verifier(home).verify(DAY).grades() == PROVEN


def test_scores_of_an_older_revision_are_proved_after_the_day_was_scored_again(proved: Path) -> None:
    """A raw day of the window is corrected and the day made again: both revisions are proved by inputs of their own."""
    with empty_folder() as folder:
        shutil.copytree(proved / "home", folder / "home", ignore=shutil.ignore_patterns("store", "dagster", "locks"))
        home = Home(folder / "home")
        before, detection = home.lake.require(SCORED, DAY).revision, Detection.of_record(Case.of(home, DAY).settings)
        run, store = run_in(home), StoreProvider.from_settings(RedisSettings())
        other = SyntheticSource(seed=99, wallets=40, transactions_per_day=200, first_day=date(2024, 1, 1))
        ingest_day(run, other, BorderRules(), date(2024, 1, 9))
        build_window(run, detection, CheckSettings(), DAY, first_day=date(2024, 1, 1), max_missing_days=0)
        train_models(run, store, detection, DAY)
        score_day(run, store, detection, DAY)
        assert home.lake.require(SCORED, DAY).revision != before
        not_measured_yet = Verifier(home).verify(DAY)
        assert not_measured_yet.grades() == PROVEN, not_measured_yet.broken
        assert not_measured_yet.notes == [f"the metrics are older than the scores: they measure revision {before[:16]}"]
        measure_day(run, detection, DAY)
        for revision in (None, before):
            proof = Verifier(home).verify(DAY, revision=revision)
            assert proof.grades() == PROVEN, proof.broken


def test_a_day_that_is_published_after_the_log_was_read_is_named_by_what_was_added_to_it(home: Home) -> None:
    verifier = Verifier(home)
    assert verifier.verify(DAYS[0]).grades() == PROVEN
    others = Detection.of_record(Case.of(home, DAY).settings).model_copy(update={"window_days": 7})
    measured = measure_day(run_in(home), others, DAY)
    assert measured.changed
    proof = verifier.verify(DAY)
    assert proof.grades() == PROVEN, proof.broken


def test_a_log_that_is_cut_or_goes_on_broken_while_days_are_verified_is_a_mismatch(home: Home) -> None:
    verifier, content = Verifier(home), home.log.path.read_bytes()
    assert verifier.verify(DAYS[0]).grades() == PROVEN
    others = Detection.of_record(Case.of(home, DAY).settings).model_copy(update={"window_days": 7})
    measure_day(run_in(home), others, DAY)
    grown = home.log.path.read_bytes()
    for damaged, found in ((content[:-1], "was cut"), (grown[:-9] + b"x" + grown[-8:], "not the entry that was")):
        home.log.path.write_bytes(damaged)
        proof = verifier.verify(DAY)
        assert proof.outcome is Outcome.MISMATCH
        assert proof.broken is not None
        assert found in proof.broken.detail


def test_a_log_that_is_gone_is_missing_and_has_to_be_restored(home: Home) -> None:
    home.log.path.unlink()
    proof = Verifier(home, head="f" * 64).verify(DAY)
    assert proof.outcome is Outcome.MISSING
    assert proof.broken is not None
    assert proof.broken.name == "publication log"
    assert "restore it from a copy" in proof.broken.detail
    assert proof.grades()[Grade.RE_TRAINED] is Outcome.PROVEN


def test_a_day_that_a_window_left_out_is_told_from_one_that_was_not_there(proved: Path) -> None:
    """A raw day is away while a window is pinned; then it is back as it was, then it is published again."""
    left_out, detection = date(2024, 1, 9), Detection.of_record(Case.of(Home(proved / "home"), DAY).settings)
    with empty_folder() as folder:
        shutil.copytree(proved / "home", folder / "home", ignore=shutil.ignore_patterns("store", "dagster", "locks"))
        home = Home(folder / "home")
        raw, away = home.lake.local_folder(RAW, left_out), folder / "away"
        raw.rename(away)
        run, store = run_in(home), StoreProvider.from_settings(RedisSettings())
        build_window(run, detection, CheckSettings(), DAY, first_day=date(2024, 1, 1), max_missing_days=1)
        train_models(run, store, detection, DAY)
        score_day(run, store, detection, DAY)
        measure_day(run, detection, DAY)
        gone = Verifier(home).verify(DAY)
        assert gone.grades() == PROVEN, gone.broken
        assert gone.notes == []
        shutil.copytree(away, raw)
        proof = Verifier(home).verify(DAY)
        assert proof.outcome is Outcome.MISMATCH
        assert proof.broken is not None
        assert f"leaves {left_out} out" in proof.broken.detail
        run.log(home.lake.require(RAW, left_out))
        repaired = Verifier(home).verify(DAY)
        assert repaired.grades() == PROVEN, repaired.broken
        assert "1 days pinned as missing have a raw day now" in " ".join(repaired.notes)
        (raw / "seal.json").write_bytes(b"damaged")
        assert Verifier(home).verify(DAY).grades() == PROVEN


def test_a_window_is_not_published_when_a_day_it_lacks_arrives_meanwhile(home: Home) -> None:
    detection, lake, late = Detection.of_record(Case.of(home, DAY).settings), home.lake, date(2024, 1, 9)
    before, away = lake.require(WINDOW, DAY), home.root / "away"
    lake.local_folder(RAW, late).rename(away)

    def arrives(said: str) -> None:
        if said.startswith("window ["):
            away.rename(lake.local_folder(RAW, late))

    run = replace(run_in(home), say=arrives)
    with pytest.raises(Superseded, match=f"{late} was published while"):
        build_window(run, detection, CheckSettings(), DAY, first_day=date(2024, 1, 1), max_missing_days=1)
    assert lake.require(WINDOW, DAY) == before


def test_a_proof_without_links_has_grades_that_were_not_reached() -> None:
    assert Proof(DAY).grades() == dict.fromkeys(Grade)
