"""`trace`: from a transaction to its models, its training data, its runs, and what changed since."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cli.conftest import Shell, empty_folder

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.id_index import hash_of
from anomaly_assets.adapters.sources.synthetic import SyntheticSource
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.border import BorderRules
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.id_hashes import hashes
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.model_codec import decode
from anomaly_assets.evidence.lookup import Place, days_of, places_of, require_days_of
from anomaly_assets.evidence.trace import trace
from anomaly_assets.evidence.traced import TracedDay
from anomaly_assets.settings import load_settings
from anomaly_assets.steps.ingest import ingest_day
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.score import score_day
from anomaly_assets.steps.train import train_models
from anomaly_assets.steps.window import build_window
from evidence.conftest import DAYS, EVIDENCE

DAY = DAYS[-1]


OTHER = SyntheticSource(seed=99, wallets=40, transactions_per_day=200, first_day=date(2024, 1, 1))
"""None of its ids is one of the home's."""
AS_CONFIGURED = SyntheticSource(
    seed=7, wallets=40, transactions_per_day=200, anomalies_per_day=6, first_day=date(2024, 1, 1)
)
"""The home's own source."""


class _Repeating(SyntheticSource):
    """Delivers one id of another day among its own."""

    def __init__(self, tx_id: str) -> None:
        super().__init__(seed=99, wallets=40, transactions_per_day=200, first_day=date(2024, 1, 1))
        self._tx_id = tx_id

    def batches(self, days: DayRange, *, known_at: datetime | None = None) -> Iterator[pa.RecordBatch]:
        first, *others = super().batches(days, known_at=known_at)
        ids = [self._tx_id, *first.column("tx_id").to_pylist()[1:]]
        place = first.schema.get_field_index("tx_id")
        yield first.set_column(place, "tx_id", pa.array(ids, first.schema.field(place).type))
        yield from others


@pytest.fixture
def served(proved: Path) -> Iterator[Home]:
    """A home of its own whose store can be started, so that days can be trained again."""
    with empty_folder() as folder:
        shutil.copytree(proved / "home", folder / "home", ignore=shutil.ignore_patterns("dagster", "locks"))
        yield Home(folder / "home")


def a_run(home: Home) -> Run:
    return Run(home, "correction", lambda: datetime(2024, 2, 1, tzinfo=UTC), lambda _: None, 5)


def ingest(home: Home, source: SyntheticSource, day: date) -> None:
    ingest_day(a_run(home), source, BorderRules(), day)


def detect(home: Home, day: date) -> None:
    """Train and score the day on what is current now."""
    settings = load_settings(environ=EVIDENCE, overrides={"home": home.root})
    run, store = a_run(home), StoreProvider.from_settings(settings.redis)
    build_window(run, settings.detection, settings.checks, day, first_day=settings.first_day, max_missing_days=1)
    train_models(run, store, settings.detection, day)
    score_day(run, store, settings.detection, day)


def ids_of(home: Home, day: date) -> pa.ChunkedArray:
    return home.lake.read(home.lake.require(RAW, day), "transactions", ["tx_id"]).column("tx_id")


def a_flag(home: Home, detector: str = "statistical") -> str:
    scored = home.lake.read(home.lake.require(SCORED, DAY), "scored")
    return str(scored.filter(scored.column(f"{detector}_anomaly")).column("TX_ID")[0])


def told_of(home: Home, tx_id: str, *, revision: str | None = None) -> list[dict[str, Any]]:
    """The days of a trace, as a program reads them."""
    days: list[dict[str, Any]] = json.loads(json.dumps(trace(home, tx_id, revision=revision).as_json()))["days"]
    return days


def test_a_flag_leads_to_its_models_its_window_and_its_runs(untouched: Home) -> None:
    tx_id = a_flag(untouched)
    (found,) = told_of(untouched, tx_id)
    assert found["day"] == str(DAY)
    assert found["verdict"]["is_anomaly"]
    assert found["verdict"]["reason"]
    (zscore,) = [d for d in found["detectors"] if d["detector"] == "statistical"]
    assert zscore["status"] == "judged"
    assert zscore["score"] > zscore["flag_line"] == 3.5
    model = zscore["model"]
    payload = untouched.models.get(DAY, [model["model_id"]])[model["model_id"]]
    assert decode(payload).model_id == model["model_id"]
    assert found["training_window"]["wallet"]["n_transactions"] == model["n_transactions"]
    assert found["training_window"]["first"] == "2024-01-06"
    assert found["training_window"]["days_pinned"] == 12
    assert found["training_window"]["wallet"]["last_at"] < f"{DAY}T00:00"
    log = {entry["hash"]: entry for entry in untouched.log.entries()}
    for name, asset in (("scored", SCORED), ("trained", MODELS), ("raw", RAW)):
        entry = log[found["runs"][name]["log_entry"]]
        assert (entry["asset"], entry["day"], entry["run_id"]) == (asset, str(DAY), found["runs"][name]["run_id"])
    assert found["since"]["up_to_date"]
    assert found["files"]["published"]["is_these_scores"]


def test_a_traced_row_is_the_published_one_with_what_its_seals_name(untouched: Home) -> None:
    scored = untouched.lake.require(SCORED, DAY)
    published = untouched.lake.read(scored, "scored").to_pylist()
    row = next(each for each in published if each["isolation_forest_anomaly"])
    (found,) = trace(untouched, row["TX_ID"]).days
    assert isinstance(found, TracedDay)
    assert list(found.row.results) == ["statistical", "isolation_forest"]
    for name, score in (("statistical", "zscore"), ("isolation_forest", "isolation_forest_score")):
        own = [row[f"{name}_status"], row[f"{name}_anomaly"], row[score], row[f"{name}_model_id"]]
        assert [*vars(found.row.results[name]).values()] == own
    for field, column in (("tx_id", "TX_ID"), ("completed_at", "TX_COMPLETED_AT"), ("org_name", "ORG_NAME")):
        assert getattr(found.row, field) == row[column]
    provenance = found.row.provenance
    assert (provenance.day, provenance.scores, provenance.settings_id) == (DAY, scored.revision, scored.settings_id)
    for asset, revision in ((RAW, provenance.raw), (WINDOW, provenance.window), (MODELS, provenance.models)):
        assert revision == untouched.lake.require(asset, DAY).revision
    assert provenance.manifest_id == found.window.manifest_id


def test_every_transaction_can_be_traced_judged_or_not(untouched: Home) -> None:
    scored = untouched.lake.read(untouched.lake.require(SCORED, DAY), "scored").to_pylist()
    statuses = set()
    for row in scored[:: max(1, len(scored) // 25)]:
        (found,) = told_of(untouched, row["TX_ID"])
        for detector in found["detectors"]:
            statuses.add(detector["status"])
            assert (detector["model"] is None) == (detector["status"] != "judged")
            assert detector["flagged"] == (detector["score"] is not None and detector["score"] > detector["flag_line"])
    assert "judged" in statuses
    assert len(statuses) > 1


def test_a_transaction_of_a_day_that_was_not_scored_is_found_and_says_so(untouched: Home) -> None:
    raw = untouched.lake.read(untouched.lake.require(RAW, date(2024, 1, 9)), "transactions", ["tx_id"])
    (found,) = told_of(untouched, raw.column("tx_id")[0].as_py())
    assert (found["day"], found["scored"]) == ("2024-01-09", False)


def test_an_id_that_no_day_holds_is_an_error_that_says_where_it_was_looked_for(untouched: Home) -> None:
    with pytest.raises(NotSealed, match="no raw day"):
        trace(untouched, "no-such-id")


def test_every_day_that_holds_an_id_is_found_without_its_index_and_with_a_damaged_one(home: Home) -> None:
    """Two days hold the id; the index of one is damaged so that it does not tell of it."""
    tx_id, other_day = a_flag(home), date(2024, 1, 9)
    ingest(home, _Repeating(tx_id), other_day)
    assert days_of(home, tx_id) == [other_day, DAY]
    (index,) = home.lake.local_folder(RAW, DAY).glob("ids-*.u64")
    whole, hashed = index.read_bytes(), hash_of(tx_id).tobytes()
    damages: dict[str, Callable[[], object]] = {
        "lost an id": lambda: index.write_bytes(whole.replace(hashed, b"")),
        "changed an id": lambda: index.write_bytes(whole.replace(hashed, bytes(8))),
        "without checksums": lambda: index.write_bytes(np.sort(hashes(ids_of(home, DAY))).tobytes()),
        "empty": lambda: index.write_bytes(b""),
        "gone": index.unlink,
    }
    for damage in damages.values():
        damage()
        assert days_of(home, tx_id) == [other_day, DAY]
        assert days_of(home, "no-such-id") == []


def test_an_index_of_a_version_without_checksums_is_replaced_when_the_day_is_ingested_again(home: Home) -> None:
    (index,) = home.lake.local_folder(RAW, DAY).glob("ids-*.u64")
    whole = index.read_bytes()
    index.write_bytes(np.sort(hashes(ids_of(home, DAY))).tobytes())
    ingest(home, AS_CONFIGURED, DAY)
    assert index.read_bytes() == whole


def test_a_published_row_whose_id_a_correction_removed_is_found_and_says_so(home: Home) -> None:
    tx_id, before = a_flag(home), home.lake.require(RAW, DAY).revision
    ingest(home, OTHER, DAY)
    assert require_days_of(home, tx_id) == [DAY]
    assert places_of(home, tx_id) == [Place(DAY, in_raw=False, in_scores=True, earlier_raw=(before,))]
    (found,) = told_of(home, tx_id)
    assert found["held_by"] == {
        "current_raw": False,
        "current_scores": True,
        "earlier_raw_revisions": [before],
    }
    assert found["verdict"]["is_anomaly"]
    assert found["since"]["newer"] == [RAW]


def test_a_row_that_only_earlier_revisions_hold_is_traced_in_its_revision(served: Home) -> None:
    """The raw day is corrected and scored again: neither holds the id now, and both once did."""
    home = served
    tx_id, scored, raw = a_flag(home), home.lake.require(SCORED, DAY), home.lake.require(RAW, DAY)
    ingest(home, OTHER, DAY)
    detect(home, DAY)
    (found,) = told_of(home, tx_id)
    assert (found["day"], found["scored"], found["earlier_scores"]) == (str(DAY), False, [scored.revision])
    assert found["held_by"]["earlier_raw_revisions"] == [raw.revision]
    assert f"--revision {scored.revision}" in found["remedy"]
    with pytest.raises(NotSealed, match=f"removed by a correction of {DAY}"):
        require_days_of(home, tx_id)
    (older,) = told_of(home, tx_id, revision=scored.revision)
    assert (older["scored"], older["revision"], older["raw_revision"]) == (True, scored.revision, raw.revision)
    assert older["since"]["newer"] == [RAW, SCORED]
    assert not older["since"]["up_to_date"]
    with pytest.raises(NotSealed, match="no scores of revision"):
        trace(home, tx_id, revision="0" * 64)


def test_a_damaged_raw_day_is_told_and_does_not_hide_the_published_row(home: Home) -> None:
    tx_id, raw = a_flag(home), home.lake.require(RAW, DAY)
    home.lake.path_of(raw, "transactions").write_bytes(b"damaged")
    (found,) = told_of(home, tx_id)
    assert found["held_by"]["current_raw"] is None
    assert found["held_by"]["current_scores"]
    home.lake.path_of(home.lake.require(SCORED, DAY), "scored").write_bytes(b"damaged")
    with pytest.raises(CorruptFile, match="transactions"):
        trace(home, tx_id)


def test_an_id_that_the_named_day_does_not_hold_is_an_error_and_not_a_row_to_be_scored(untouched: Home) -> None:
    for day in (DAYS[0], date(2024, 1, 9), date(2030, 1, 1)):  # scored, not scored, not ingested
        with pytest.raises(NotSealed, match=f"{RAW} of {day} does not hold"):
            trace(untouched, a_flag(untouched), day=day)


def test_what_happened_to_the_days_of_the_window_is_told_apart(home: Home) -> None:
    corrected, damaged, gone = date(2024, 1, 9), date(2024, 1, 10), date(2024, 1, 11)
    tx_id = a_flag(home)
    ingest(home, OTHER, corrected)
    (home.lake.local_folder(RAW, damaged) / "seal.json").write_bytes(b"damaged")
    (home.lake.local_folder(RAW, gone) / "seal.json").unlink()
    since = told_of(home, tx_id)[0]["since"]
    assert since["raw_days_changed"] == [str(corrected)]
    assert since["raw_days_unreadable"] == [str(damaged), str(gone)]
    assert since["raw_days_arrived"] == []
    assert not since["up_to_date"]


def test_a_day_that_was_missing_when_the_window_was_pinned_is_told_as_arrived(served: Home) -> None:
    home = served
    late = date(2024, 1, 9)
    seal = home.lake.local_folder(RAW, late) / "seal.json"
    content = seal.read_bytes()
    seal.unlink()
    detect(home, DAY)
    seal.write_bytes(content)
    since = told_of(home, a_flag(home))[0]["since"]
    assert since["raw_days_arrived"] == [str(late)]
    assert since["raw_days_changed"] == since["raw_days_unreadable"] == []
    assert not since["up_to_date"]


def test_a_damaged_seal_of_the_day_is_told_and_the_trace_goes_on(home: Home) -> None:
    (home.lake.local_folder(MODELS, DAY) / "seal.json").write_bytes(b"damaged")
    since = told_of(home, a_flag(home))[0]["since"]
    assert (since["newer"], since["unreadable"], since["up_to_date"]) == ([], [MODELS], False)


def test_the_command_shows_a_tree_and_json(proved: Path, untouched: Home) -> None:
    tx_id, shell = a_flag(untouched), Shell(proved)
    shown = shell.run_apart("trace", tx_id, "--ui", "http://dagster.example", **EVIDENCE)
    assert shown.returncode == 0, shown.stderr
    run_id = told_of(untouched, tx_id)[0]["runs"]["scored"]["run_id"]
    for expected in (tx_id, "flagged", "training window", "nothing changed", f"/runs/{run_id}", "verify"):
        assert expected in shown.stdout
    assert json.loads(shell.run("trace", tx_id, "--json", **EVIDENCE).stdout)["tx_id"] == tx_id
    changed = shell.run("trace", tx_id, **{**EVIDENCE, "ANOMALY_STATISTICAL__ZSCORE_THRESHOLD": "4"})
    assert "the configured settings are others" in " ".join(changed.stdout.split())


def test_the_command_writes_numbers_and_what_is_not_known_for_people(proved: Path, untouched: Home) -> None:
    """Hours are hours and not a number with twenty-four bits; a row without an organisation has no `None`."""
    rows = untouched.lake.read(untouched.lake.require(SCORED, DAY), "scored").to_pylist()
    judged = [row for row in rows if row["isolation_forest_model_id"]]
    alone = next(row for row in judged if row["ORG_NAME"] is None)
    with_one = next(row for row in judged if row["ORG_NAME"] is not None)
    shown = Shell(proved).run("trace", alone["TX_ID"]).stdout
    assert "organisation" not in shown
    hours = re.search(r"hours_seen=((?:\d+ ?)+)", " ".join(shown.replace("│", "").split()))
    assert hours is not None
    forest = next(one for one in told_of(untouched, alone["TX_ID"])[0]["detectors"] if "forest" in one["detector"])
    bits = int(json.loads(forest["model"]["summary"])["hours_seen"])
    assert sum(1 << int(hour) for hour in hours.group(1).split()) == bits
    assert f"organisation {with_one['ORG_NAME']}" in " ".join(
        Shell(proved).run("trace", with_one["TX_ID"]).stdout.split()
    )


def test_the_command_ends_with_its_own_code_when_no_day_or_not_the_named_one_holds_the_id(
    proved: Path, untouched: Home
) -> None:
    shell = Shell(proved)
    for arguments in (("no-such-id",), (a_flag(untouched), "--day", str(DAYS[0])), ("no-such-id", "--day", str(DAY))):
        refused = shell.run("trace", *arguments, **EVIDENCE)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "missing: " in refused.stderr
        assert "check the id" in refused.stderr


def test_the_command_tells_of_a_removed_row_and_traces_its_revision(home: Home, tmp_path: Path) -> None:
    tx_id, scored = a_flag(home), home.lake.require(SCORED, DAY)
    ingest(home, OTHER, DAY)
    ingest(home, OTHER, date(2024, 1, 9))
    (home.lake.local_folder(RAW, date(2024, 1, 10)) / "seal.json").unlink()
    shell = Shell(tmp_path)
    shown = " ".join(shell.run("trace", tx_id, "--revision", scored.revision, **EVIDENCE).stdout.split())
    for expected in (
        f"scores of revision {scored.revision}",
        "the current raw day does not hold it",
        "1 raw days of the window were corrected: 2024-01-09",
        "1 raw days of the window have no seal now that can be read: 2024-01-10",
        f"another {RAW} of this day is current",
    ):
        assert expected in shown.replace("│ ", "").replace("├── ", "").replace("└── ", "")
    unknown = shell.run("trace", tx_id, "--revision", "0" * 64, **EVIDENCE)
    assert (unknown.returncode, "no scores of revision" in unknown.stderr) == (2, True)
