"""What operations shows: days and their states, refused rows, proofs, the store without starting it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cli.conftest import empty_folder
from evidence.conftest import DAYS, EVIDENCE

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.model_store import Publication, PublishedModel
from anomaly_assets.adapters.publication import PublicationState, Published
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.adapters.verification_log import Verification
from anomaly_assets.domain.border import BorderRules, clean_day
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.due_days import Due, Freshness
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.families import OURS, names_of
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.raw_day import content_digest
from anomaly_assets.settings import Detection, RedisSettings, load_settings
from anomaly_assets.steps.publish_scores import PUBLISHED
from anomaly_assets.views.freshness import SERVED, freshness, newest_elsewhere
from anomaly_assets.views.partitions import (
    State,
    counts_by_state,
    not_in_order,
    partition_states,
    remedies,
    span,
)
from anomaly_assets.views.quarantine import ledger, refusals, refused
from anomaly_assets.views.store import StoreState, served_models, store_state
from anomaly_assets.views.verified import entries_table, pass_rates

FIRST_RAW = date(2024, 1, 3)
"""12 days before the first scored one."""
PERIOD = DayRange(DAYS[0], DAYS[-1] + timedelta(days=1))
EMBEDDED = StoreProvider.from_settings(RedisSettings(embedded_max_memory_mb=64))


@pytest.fixture
def detection(monkeypatch: pytest.MonkeyPatch) -> Detection:
    """The settings the home was scored with."""
    for name, value in EVIDENCE.items():
        monkeypatch.setenv(name, value)
    return load_settings(None).detection


def states_of(home: Home, detection: Detection, days: DayRange = PERIOD) -> dict[tuple[str, date], tuple[str, str]]:
    rows = partition_states(home, days, detection.settings_ids, OURS).to_pylist()
    return {(row["asset"], row["day"]): (row["state"], row["because"]) for row in rows}


def test_a_home_in_order_is_sealed_throughout(untouched: Home, detection: Detection) -> None:
    states = partition_states(untouched, PERIOD, detection.settings_ids, OURS)
    assert counts_by_state(states) == {State.SEALED: 5 * len(DAYS)}
    assert remedies(states) == []
    whole = span(untouched, OURS)
    assert whole == DayRange(FIRST_RAW, PERIOD.end)


def test_days_before_the_first_of_an_asset_are_not_expected(untouched: Home, detection: Detection) -> None:
    states = states_of(untouched, detection, DayRange(FIRST_RAW, DAYS[1]))
    assert states[RAW, FIRST_RAW] == ("sealed", "")
    assert states[SCORED, FIRST_RAW] == ("not expected", "")
    assert states[SCORED, DAYS[0]] == ("sealed", "")


def test_days_behind_the_last_raw_day_are_not_expected(untouched: Home, detection: Detection) -> None:
    tomorrow = DayRange.of(PERIOD.end)
    assert {state for state, _ in states_of(untouched, detection, tomorrow).values()} == {"not expected"}


def test_days_that_are_due_are_missing_until_they_are_there(untouched: Home, detection: Detection) -> None:
    due = PERIOD.end + timedelta(days=1)
    whole = span(untouched, OURS, due)
    assert whole == DayRange(FIRST_RAW, due + timedelta(days=1))
    states = partition_states(untouched, whole, detection.settings_ids, OURS, due=due)
    missing = [row["day"] for row in not_in_order(states).to_pylist()]
    assert sorted(set(missing)) == [PERIOD.end, due]
    assert len(missing) == 2 * len(names_of(OURS))
    assert remedies(states) == [f"anomaly-assets backfill --from {PERIOD.end} --to {due}"]
    assert span(untouched, OURS, DAYS[0]) == DayRange(FIRST_RAW, PERIOD.end)


def test_a_day_that_is_gone_is_missing_and_what_came_of_it_is_stale(home: Home, detection: Detection) -> None:
    shutil.rmtree(home.lake.local_folder(METRICS, DAYS[-1]))
    shutil.rmtree(home.lake.local_folder(RAW, DAYS[1]))
    states = states_of(home, detection)
    assert states[METRICS, DAYS[-1]] == ("missing", "")
    assert states[RAW, DAYS[1]] == ("missing", "")
    assert states[SCORED, DAYS[0]] == ("sealed", "")
    for day in DAYS[1:]:
        assert states[SCORED, day] == ("stale", f"raw {DAYS[1]} changed")
    assert states[WINDOW, DAYS[1]] == ("sealed", "")
    found = partition_states(home, PERIOD, detection.settings_ids, OURS)
    order = [(row["state"], row["day"]) for row in not_in_order(found).to_pylist()]
    assert order[:2] == [("missing", DAYS[1]), ("missing", DAYS[-1])]
    assert order[2:] == sorted(order[2:])
    assert remedies(found) == [
        f"anomaly-assets backfill --from {DAYS[1]} --to {DAYS[-1]}",
        "anomaly-assets stale --rematerialize",
    ]


def test_a_seal_or_a_file_that_was_changed_is_damaged(home: Home, detection: Detection) -> None:
    (home.lake.local_folder(MODELS, DAYS[0]) / "seal.json").write_bytes(b"damaged")
    home.lake.path_of(home.lake.require(SCORED, DAYS[1]), "scored").unlink()
    cut = home.lake.path_of(home.lake.require(RAW, DAYS[2]), "quarantine")
    cut.write_bytes(cut.read_bytes()[:-1])
    states = states_of(home, detection)
    assert states[MODELS, DAYS[0]][0] == "damaged"
    assert "is not a seal" in states[MODELS, DAYS[0]][1]
    assert states[SCORED, DAYS[1]][0] == "damaged"
    assert states[RAW, DAYS[2]] == ("damaged", f"gone or of another size: {cut.name}")


def test_other_settings_make_everything_but_raw_days_stale(untouched: Home) -> None:
    states = states_of(untouched, load_settings(None).detection)
    assert {states[asset, DAYS[0]][0] for asset in (WINDOW, MODELS, SCORED, METRICS)} == {"stale"}
    assert "other settings" in states[SCORED, DAYS[0]][1]
    assert states[RAW, DAYS[0]] == ("sealed", "")


def test_an_empty_home_has_no_days(tmp_path: Path) -> None:
    assert span(Home(tmp_path), OURS) is None


@pytest.fixture
def dirty(tmp_path: Path) -> Home:
    """A home with one raw day of four delivered rows: one kept, two refused, one a duplicate."""
    home, at = Home(tmp_path), "2024-01-15T08:00:00Z"
    rows = [("a", "w", at, "1", "A"), ("a", "w", at, "1", "A"), ("b", None, at, "2", "A"), ("c", "w", at, "-3", None)]
    columns = zip(
        ("tx_id", "wallet_id", "tx_completed_at", "total_amount", "org_name"), zip(*rows, strict=True), strict=True
    )
    clean = clean_day(pa.table({name: list(values) for name, values in columns}), DAYS[0], BorderRules())
    with home.lake.writing(RAW, DAYS[0], timeout_seconds=5) as writer:
        staged = writer.stage({"transactions": clean.kept, "quarantine": clean.quarantine})
        writer.commit(staged, revision=content_digest(clean.kept), verdicts=(), counts=vars(clean.ledger))
    return home


def test_refused_rows_are_counted_by_reason_and_shown(dirty: Home) -> None:
    days = [DAYS[0], DAYS[1]]
    assert ledger(dirty.lake, days).to_pylist() == [
        {"day": DAYS[0], "n_in": 4, "n_kept": 1, "n_quarantined": 2, "n_duplicate": 1, "n_erased": 0}
    ]
    reasons = refusals(dirty.lake, days).to_pylist()
    rows = refused(dirty.lake, DAYS[0])
    assert [(row["day"], row["n_rows"]) for row in reasons] == [(DAYS[0], 1)] * 2
    assert sorted(row["reason"] for row in reasons) == sorted(rows.column("reason").to_pylist())
    assert sorted(rows.column("tx_id").to_pylist()) == ["b", "c"]


def test_a_raw_day_that_cannot_be_read_is_left_out(dirty: Home) -> None:
    (dirty.lake.local_folder(RAW, DAYS[0]) / "seal.json").write_bytes(b"damaged")
    assert ledger(dirty.lake, DAYS).num_rows == refusals(dirty.lake, DAYS).num_rows == 0


def verification(day: int, outcome: str, hour: int = 2) -> Verification:
    return Verification(datetime(2024, 7, day, hour, 0, 0, 5, tzinfo=UTC), DAYS[0], 1, outcome, None, "nightly")


def test_the_pass_rate_of_a_day_counts_erased_rows_as_good() -> None:
    outcomes = ["proven", "erased", "missing", "mismatch", "proven"]
    entries = [*(verification(2, outcome) for outcome in outcomes), verification(1, "proven")]
    assert pass_rates(entries).to_pylist() == [
        {
            "date": date(2024, 7, 1),
            "n_proofs": 1,
            "n_proven": 1,
            "n_erased": 0,
            "n_missing": 0,
            "n_mismatch": 0,
            "rate": 1.0,
        },
        {
            "date": date(2024, 7, 2),
            "n_proofs": 5,
            "n_proven": 2,
            "n_erased": 1,
            "n_missing": 1,
            "n_mismatch": 1,
            "rate": 0.6,
        },
    ]
    assert pass_rates([]).num_rows == 0


def test_a_verification_counts_on_its_utc_day() -> None:
    """Half past midnight two hours east of Greenwich is the evening before."""
    entry = verification(2, "proven")
    east = datetime.fromisoformat("2024-07-02T00:30:00+02:00")
    (row,) = pass_rates([Verification(east, entry.day, 1, "proven", None, "command")]).to_pylist()
    assert row["date"] == date(2024, 7, 1)


def test_the_newest_verification_comes_first() -> None:
    table = entries_table([verification(1, "proven"), verification(3, "missing"), verification(2, "proven")])
    assert [at.day for at in table.column("at").to_pylist()] == [3, 2, 1]
    assert entries_table([]).num_rows == 0


def test_looking_at_a_store_that_does_not_run_starts_none(home: Home) -> None:
    state = store_state(home, EMBEDDED)
    assert (state.answers, state.kind, state.remedy) == (False, "embedded", "anomaly-assets store start")
    assert "does not run" in state.found
    assert not home.store.exists()
    assert store_state(Home(home.root / "absent"), EMBEDDED).answers is False


def test_a_server_that_does_not_answer_is_a_state(home: Home) -> None:
    provider = StoreProvider.from_settings(RedisSettings(url="redis://:secret@127.0.0.1:1/0", socket_timeout=0.1))
    state = store_state(home, provider)
    assert (state.answers, state.kind) == (False, "server")
    assert "127.0.0.1:1" in state.found
    assert "secret" not in state.found
    assert state.remedy


@pytest.fixture
def running(proved: Path) -> Iterator[Home]:
    """A copy of the scored home whose store runs, with the models of the last day."""
    with empty_folder() as folder:
        shutil.copytree(proved / "home", folder / "home", ignore=shutil.ignore_patterns("dagster", "locks"))
        home = Home(folder / "home")
        EMBEDDED.embedded(home).ensure_running()
        yield home
        EMBEDDED.embedded(home).stop()


def test_a_store_that_runs_tells_what_it_serves(running: Home) -> None:
    state, models = store_state(running, EMBEDDED), running.lake.require(MODELS, DAYS[-1])
    assert state.answers
    assert state.remedy == ""
    assert state.published is not None
    assert (state.published.as_of, state.published.generation) == (DAYS[-1], models.generation)
    assert state.n_models == state.published.count == models.files["models"].n_rows
    assert state.health is not None
    assert state.health.used_memory_bytes > 0
    by_detector = served_models(running, state.published)
    assert by_detector is not None
    assert sum(by_detector.column("n_models").to_pylist()) == state.n_models
    rows = running.lake.read(models, "models").to_pylist()
    assert sum(by_detector.column("n_bytes").to_pylist()) == sum(row["n_bytes"] for row in rows)
    newest = {row["what"]: row for row in freshness(running.lake, state, until(DAYS[-1]), FIRST_RAW, OURS).to_pylist()}
    assert (newest[SERVED]["newest"], newest[SERVED]["days_behind"]) == (DAYS[-1], 0)


def test_a_store_that_is_being_filled_serves_nobody(running: Home) -> None:
    """A writer was killed after its first batch."""

    class Killed(Exception):
        pass

    def die(point: str) -> None:
        if point == "batch":
            raise Killed

    after = DAYS[-1] + timedelta(days=1)
    model = PublishedModel("statistical", "w", "0" * 64, "0" * 64, b"payload", n_transactions=30, format_version=1)
    publication = Publication(after, 1, "manifest", "settings", 1, DAYS[0], after, "run")
    with EMBEDDED.open(running) as store, pytest.raises(Killed):
        store.publish(publication, [model], now=0.0, checkpoint=die)
    state = store_state(running, EMBEDDED)
    assert state.answers
    assert "is being filled" in state.found
    assert "anomaly-assets store publish" in state.remedy
    assert state.published is not None
    assert served_models(running, state.published) is None
    newest = {row["what"]: row for row in freshness(running.lake, state, until(DAYS[-1]), FIRST_RAW, OURS).to_pylist()}
    assert newest[SERVED]["newest"] is None
    assert newest[SERVED]["state"] == state.found


SERVES = Published(DAYS[-1], 1, "manifest", "settings", 3, PublicationState.COMPLETE)


def serves(home: Home) -> Published:
    """What a store tells that serves the models of the last day."""
    return replace(SERVES, generation=home.lake.require(MODELS, DAYS[-1]).generation or 0)


def test_models_of_another_training_or_of_none_are_not_those_that_are_served(home: Home) -> None:
    found = serves(home)
    assert served_models(home, found) is not None
    assert served_models(home, replace(found, generation=found.generation + 1)) is None
    assert served_models(home, replace(found, as_of=FIRST_RAW)) is None


@pytest.mark.parametrize("what", ["seal", "file"])
def test_models_that_cannot_be_read_are_an_error_and_no_other_training(home: Home, what: str) -> None:
    found = serves(home)
    path = home.lake.local_folder(MODELS, DAYS[-1]) / "seal.json"
    if what == "file":
        path = home.lake.path_of(home.lake.require(MODELS, DAYS[-1]), "models")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptFile) as error:
        served_models(home, found)
    assert error.value.remedy


OFF = StoreState("embedded", "off")
NONE_DUE = Due(None, "no schedule brings days")


def until(day: date) -> Due:
    """What is due of data that is complete until ``day``."""
    return Due(day, f"the data is complete until {day}")


def rows_by_name(home: Home, due: Due, **elsewhere: date | None) -> dict[str, dict[str, Any]]:
    found = freshness(home.lake, OFF, due, FIRST_RAW, OURS, elsewhere=elsewhere)
    return {row["what"]: row for row in found.to_pylist()}


def test_age_is_counted_against_the_day_that_is_due(home: Home) -> None:
    for asset in (SCORED, METRICS):
        shutil.rmtree(home.lake.local_folder(asset, DAYS[-1]))
    found = rows_by_name(home, until(DAYS[-1] + timedelta(days=731)))
    assert (found[RAW]["newest"], found[RAW]["days_behind"]) == (DAYS[-1], 731)
    assert (found[SCORED]["newest"], found[SCORED]["days_behind"]) == (DAYS[-2], 732)
    due = DAYS[-1] + timedelta(days=731)
    assert found[SCORED]["state"] == f"732 days behind {due}: the data is complete until {due}"
    assert found[SERVED] == {"what": SERVED, "newest": None, "days_behind": None, "state": "off"}


def test_the_due_day_is_no_day_behind(home: Home) -> None:
    found = rows_by_name(home, until(DAYS[-1]))
    assert {row["days_behind"] for what, row in found.items() if what != SERVED} == {0}
    assert {row["state"] for what, row in found.items() if what != SERVED} == {""}


def test_one_day_is_told_as_one(home: Home) -> None:
    due = until(DAYS[-1] + timedelta(days=1))
    assert rows_by_name(home, due)[RAW]["state"] == f"1 day behind {due.day}: {due.because}"


def test_where_no_day_is_due_nothing_is_fresh_and_nothing_is_behind(home: Home) -> None:
    found = rows_by_name(home, NONE_DUE)
    assert {row["days_behind"] for row in found.values()} == {None}
    assert {row["state"] for what, row in found.items() if what != SERVED} == {"no day is due"}
    assert Freshness(DAYS[-1], NONE_DUE, FIRST_RAW).told == "no day is due: no schedule brings days"


def test_models_that_are_served_are_measured_too(running: Home) -> None:
    state = store_state(running, EMBEDDED)
    due = until(DAYS[-1] + timedelta(days=3))
    served = freshness(running.lake, state, due, FIRST_RAW, OURS).to_pylist()[-1]
    assert (served["days_behind"], served["state"].split("; ")[1]) == (3, f"3 days behind {due.day}: {due.because}")
    none = freshness(running.lake, state, NONE_DUE, FIRST_RAW, OURS).to_pylist()[-1]
    assert (none["days_behind"], none["state"].split("; ")[1]) == (None, "no day is due")


def test_a_table_elsewhere_is_as_new_as_the_last_day_it_was_given(home: Home) -> None:
    assert newest_elsewhere(home, None) == {}
    assert newest_elsewhere(home, "A.B.C") == {PUBLISHED: None}
    for day, table in ((DAYS[0], "A.B.C"), (DAYS[1], "A.B.C"), (DAYS[2], "A.B.OTHER")):
        receipt = home.scores_receipt(day)
        receipt.parent.mkdir(exist_ok=True)
        receipt.write_text(json.dumps({"table": table, "revision": "r"}))
    found = rows_by_name(home, until(DAYS[-1]), **newest_elsewhere(home, "a.b.c"))
    assert (found[PUBLISHED]["newest"], found[PUBLISHED]["days_behind"]) == (DAYS[1], 2)


def test_what_is_missing_is_named_with_the_command_that_makes_it(home: Home) -> None:
    behind = Freshness(DAYS[1], until(DAYS[-1]), FIRST_RAW)
    assert behind.command == f"anomaly-assets backfill --from {DAYS[2]} --to {DAYS[-1]}"
    assert Freshness(None, until(DAYS[-1]), DAYS[0]).missing == (DAYS[0], DAYS[-1])
    for fine in (Freshness(DAYS[-1], until(DAYS[-1]), FIRST_RAW), Freshness(None, NONE_DUE, FIRST_RAW)):
        assert (fine.missing, fine.command) == (None, "")


def test_an_empty_home_has_nothing_new(tmp_path: Path) -> None:
    found = freshness(Home(tmp_path).lake, OFF, NONE_DUE, FIRST_RAW, OURS).to_pylist()
    assert [row["newest"] for row in found] == [None] * 6
    assert {row["state"] for row in found[:-1]} == {"no day yet; no day is due"}
    behind = freshness(Home(tmp_path).lake, OFF, until(FIRST_RAW), FIRST_RAW, OURS).to_pylist()
    assert [row["days_behind"] for row in behind] == [*[1] * 5, None]
