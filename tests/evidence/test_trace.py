"""`trace`: from a transaction to its models, its training data, its runs, and what changed since."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cli.conftest import Shell

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.sources.synthetic import SyntheticSource
from anomaly_assets.domain.border import BorderRules
from anomaly_assets.domain.errors import NotSealed
from anomaly_assets.domain.model_codec import decode
from anomaly_assets.evidence.lookup import days_of
from anomaly_assets.evidence.trace import trace
from anomaly_assets.steps.ingest import ingest_day
from anomaly_assets.steps.run import MODELS, RAW, SCORED, Run
from evidence.conftest import DAYS, EVIDENCE

DAY = DAYS[-1]


def a_flag(home: Home, detector: str = "statistical") -> str:
    scored = home.lake.read(home.lake.require(SCORED, DAY), "scored")
    return str(scored.filter(scored.column(f"{detector}_anomaly")).column("TX_ID")[0])


def test_a_flag_leads_to_its_models_its_window_and_its_runs(untouched: Home) -> None:
    tx_id = a_flag(untouched)
    (found,) = trace(untouched, tx_id)["days"]
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


def test_every_transaction_can_be_traced_judged_or_not(untouched: Home) -> None:
    scored = untouched.lake.read(untouched.lake.require(SCORED, DAY), "scored").to_pylist()
    statuses = set()
    for row in scored[:: max(1, len(scored) // 25)]:
        (found,) = trace(untouched, row["TX_ID"])["days"]
        for detector in found["detectors"]:
            statuses.add(detector["status"])
            assert (detector["model"] is None) == (detector["status"] != "judged")
            assert detector["flagged"] == (detector["score"] is not None and detector["score"] > detector["flag_line"])
    assert "judged" in statuses
    assert len(statuses) > 1


def test_a_transaction_of_a_day_that_was_not_scored_is_found_and_says_so(untouched: Home) -> None:
    raw = untouched.lake.read(untouched.lake.require(RAW, date(2024, 1, 9)), "transactions", ["tx_id"])
    (found,) = trace(untouched, raw.column("tx_id")[0].as_py())["days"]
    assert (found["day"], found["scored"]) == ("2024-01-09", False)


def test_an_id_that_no_day_holds_is_an_error_that_says_where_it_was_looked_for(untouched: Home) -> None:
    with pytest.raises(NotSealed, match="no raw day"):
        trace(untouched, "no-such-id")


def test_ids_are_found_without_their_index_and_with_a_damaged_one(home: Home) -> None:
    tx_id = a_flag(home)
    assert days_of(home, tx_id) == [DAY]
    indexes = list(home.lake.root.glob(f"{RAW}/*/ids-*.u64"))
    assert len(indexes) == len(home.lake.days(RAW))
    damages: tuple[Callable[[Path], object], ...] = (
        lambda path: path.write_bytes(path.read_bytes()[8:]),
        lambda path: path.write_bytes(b""),
        Path.unlink,
    )
    for damage in damages:
        for path in indexes:
            damage(path)
        assert days_of(home, tx_id) == [DAY]
        assert days_of(home, "no-such-id") == []


def test_a_correction_of_a_raw_day_is_told_as_changed_since(home: Home) -> None:
    tx_id, corrected = a_flag(home), date(2024, 1, 9)
    other = SyntheticSource(seed=99, wallets=40, transactions_per_day=200, first_day=date(2024, 1, 1))
    now = datetime(2024, 2, 1, tzinfo=UTC)
    ingest_day(Run(home, "correction", lambda: now, lambda _: None, 5), other, BorderRules(), corrected)
    since = trace(home, tx_id)["days"][0]["since"]
    assert since["raw_days_changed"] == [str(corrected)]
    assert not since["up_to_date"]


def test_the_command_shows_a_tree_and_json(proved: Path, untouched: Home) -> None:
    tx_id, shell = a_flag(untouched), Shell(proved)
    shown = shell.run("trace", tx_id, "--ui", "http://dagster.example", **EVIDENCE)
    assert shown.returncode == 0, shown.stderr
    run_id = trace(untouched, tx_id)["days"][0]["runs"]["scored"]["run_id"]
    for expected in (tx_id, "flagged", "training window", "nothing changed", f"/runs/{run_id}", "verify"):
        assert expected in shown.stdout
    assert json.loads(shell.run("trace", tx_id, "--json", **EVIDENCE).stdout)["tx_id"] == tx_id
    changed = shell.run("trace", tx_id, **{**EVIDENCE, "ANOMALY_STATISTICAL__ZSCORE_THRESHOLD": "4"})
    assert "the configured settings are others" in " ".join(changed.stdout.split())
