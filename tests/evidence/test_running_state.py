"""A detector that looks back: what came before a day is pinned by its scores, and reaches all that judges them.

The detector exists here alone. It counts a wallet's transactions of the days before each one.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from cli.conftest import ASKED, empty_folder
from click.testing import CliRunner

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.cli import main
from anomaly_assets.domain import detectors
from anomaly_assets.domain.algorithms import ALGORITHMS, STATISTICAL
from anomaly_assets.domain.detectors.base import Judgement, Model, Needs
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.erasure_request import ErasureRequest
from anomaly_assets.domain.errors import CorruptFile, Superseded
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED, WINDOW, Edge
from anomaly_assets.domain.raw_day import content_digest, wallet_days
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.evidence.again import scored_again
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.compare import compare_case, compare_day
from anomaly_assets.evidence.explain import explain
from anomaly_assets.evidence.proof import Grade, Outcome
from anomaly_assets.evidence.since import since_words
from anomaly_assets.evidence.stale import stale_partitions
from anomaly_assets.evidence.trace import trace
from anomaly_assets.evidence.traced import Trace, TracedDay
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.reports.flag_report import flag_page
from anomaly_assets.settings import CheckSettings, Detection, RedisSettings, StatisticalSettings
from anomaly_assets.settings.detector_sections import DETECTOR_SECTIONS
from anomaly_assets.steps.erase import erase_wallet
from anomaly_assets.steps.measure import measure_day
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.score import score_day
from anomaly_assets.steps.train import train_models
from anomaly_assets.steps.window import build_window
from evidence.conftest import DAYS

pytestmark = pytest.mark.xdist_group("running state")

DAY, FIRST_DAY = DAYS[-1], date(2024, 1, 1)
LOOKS_BACK = timedelta(days=15)
"""Further than the window of the home, so that what it sees of the first days is not the window's."""
BUSY = replace(STATISTICAL, detector="busy", score_column="busy_count")
PROVEN = dict.fromkeys(Grade, Outcome.PROVEN)


class BusyDetector(StatisticalDetector):
    """Flags a transaction of a wallet that had so many in the days before it."""

    name: ClassVar[str] = BUSY.detector
    score_column: ClassVar[str] = BUSY.score_column
    needs: ClassVar[Needs] = Needs(running_state_hours=24 * LOOKS_BACK.days)

    def judge(self, rows: WalletRows, models: Sequence[Model | None], before: WalletRows | None = None) -> Judgement:
        assert before is not None
        assert list(before.wallet_ids) == list(rows.wallet_ids)
        usual = super().judge(rows, models)
        counts = np.full(rows.n_rows, np.nan)
        for model, own, earlier in zip(models, rows.slices(), before.slices(), strict=True):
            times = np.concatenate([before.completed_at_us[earlier], rows.completed_at_us[own]])
            first = np.searchsorted(times, rows.completed_at_us[own] - LOOKS_BACK // timedelta(microseconds=1))
            if model is not None:
                counts[own] = np.arange(len(times))[earlier.stop - earlier.start :] - first
        line = np.where(usual.judged, self.zscore_threshold, np.nan)
        return Judgement(usual.judged, counts > line, counts, counts, np.zeros(rows.n_rows), line)


SETTINGS = {"min_transactions": 8, "zscore_threshold": 40.0}


@dataclass
class Looked:
    """A home in which the last day was scored with it, and how often raw rows were read for that, by day."""

    home: Home
    detection: Detection
    reads: Counter[date]

    @property
    def table(self) -> pa.Table:
        return self.home.lake.read(self.home.lake.require(SCORED, DAY), "scored")


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a release does that has this detector."""
    monkeypatch.setitem(ALGORITHMS, BUSY.detector, BUSY)
    monkeypatch.setitem(detectors.DETECTORS, BUSY.detector, BusyDetector)
    monkeypatch.setitem(DETECTOR_SECTIONS, BUSY.detector, StatisticalSettings)


def run_in(home: Home, say: Callable[[str], None] = lambda _: None) -> Run:
    return Run(home, "again", lambda: datetime(2024, 2, 1, tzinfo=UTC), say, lock_timeout_seconds=5)


def score(home: Home, detection: Detection, day: date) -> Counter[date]:
    """Train and score a day; how often rows of raw days were read for the scores."""
    run, store, reads = run_in(home), StoreProvider.from_settings(RedisSettings()), Counter[date]()
    build_window(run, detection, CheckSettings(), day, first_day=FIRST_DAY, max_missing_days=0)
    train_models(run, store, detection, day)
    whole = Lake.read

    def counting(lake: Lake, seal: Any, role: str, columns: Sequence[str] | None = None) -> pa.Table:
        reads[seal.day] += (seal.asset, role) == (RAW, "transactions")
        return whole(lake, seal, role, columns)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Lake, "read", counting)
        score_day(run, store, detection, day)
    measure_day(run, detection, day)
    return +reads


@pytest.fixture(scope="module")
def once(proved: Path) -> Iterator[Looked]:
    with empty_folder() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        shutil.copytree(proved / "home", folder / "home", ignore=shutil.ignore_patterns("dagster", "locks", "store"))
        home = Home(folder / "home")
        register(monkeypatch)
        detection = Detection.of({**Detection.of_record(Case.of(home, DAY).settings).model_dump(), "busy": SETTINGS})
        yield Looked(home, detection, score(home, detection, DAY))


@pytest.fixture
def looked(once: Looked, monkeypatch: pytest.MonkeyPatch) -> Looked:
    """That home, only to be read."""
    register(monkeypatch)
    return once


@pytest.fixture
def changeable(looked: Looked) -> Iterator[Looked]:
    """A copy of it."""
    with empty_folder() as folder:
        shutil.copytree(looked.home.root, folder / "home", ignore=shutil.ignore_patterns("dagster", "locks", "store"))
        yield replace(looked, home=Home(folder / "home"))


def counts_by_hand(home: Home, day: date) -> Mapping[str, int]:
    """Of each transaction of a day, how many its wallet had in the days before it, from the raw days themselves."""
    days = [day - timedelta(days=back) for back in range(LOOKS_BACK.days + 1)]
    raw = [home.lake.find(RAW, one) for one in reversed(days)]
    rows = [row for seal in raw if seal for row in home.lake.read(seal, "transactions").to_pylist()]
    rows.sort(key=lambda row: (row["tx_completed_at"], row["tx_id"]))
    times: dict[str, list[datetime]] = {}
    counts = {}
    for row in rows:
        own, now = times.setdefault(row["wallet_id"], []), row["tx_completed_at"]
        counts[row["tx_id"]] = sum(moment >= now - LOOKS_BACK for moment in own)
        own.append(now)
    return counts


def test_scores_follow_from_what_came_before_and_name_its_days(looked: Looked) -> None:
    seal, by_hand = looked.home.lake.require(SCORED, DAY), counts_by_hand(looked.home, DAY)
    judged = [row for row in looked.table.to_pylist() if row["busy_count"] is not None]
    assert {row["TX_ID"]: row["busy_count"] for row in judged} == {
        row["TX_ID"]: by_hand[row["TX_ID"]] for row in judged
    }
    assert any(row["busy_anomaly"] for row in judged)
    assert not all(row["busy_anomaly"] for row in judged)
    days = [DAY - timedelta(days=back) for back in range(LOOKS_BACK.days, 0, -1)]
    revisions = [looked.home.lake.require(RAW, day).revision for day in days]
    pinned = [Edge.to_day(RAW, day, revision) for day, revision in zip(days, revisions, strict=True)]
    assert [edge for edge in seal.edges if edge.asset == RAW and edge.day != DAY] == pinned
    assert looked.reads == dict.fromkeys([*days, DAY], 1)


def test_without_a_detector_that_looks_back_nothing_before_the_day_is_read_or_named(changeable: Looked) -> None:
    home, plain = changeable.home, Detection.of_record(Case.of(changeable.home, DAYS[0]).settings)
    assert score(home, plain, DAY) == {DAY: 1}
    assert [edge.day for edge in home.lake.require(SCORED, DAY).edges if edge.asset == RAW] == [DAY]


def test_such_a_day_is_proved_at_three_grades_whole_and_by_transaction(looked: Looked) -> None:
    verifier = Verifier(looked.home)
    assert verifier.verify(DAY).grades() == PROVEN
    flag = next(row["TX_ID"] for row in looked.table.to_pylist() if row["busy_anomaly"])
    proof = verifier.verify(DAY, [flag])
    assert proof.grades() == PROVEN
    assert "raw days before the scores" in [link.name for link in proof.links]


def test_single_rows_are_judged_by_what_came_before_them_on_their_own_day_too(looked: Looked) -> None:
    case, rows = Case.of(looked.home, DAY), looked.table.to_pylist()
    wallet = Counter(row["WALLET_ID"] for row in rows if row["busy_count"] is not None).most_common(1)[0][0]
    own = [row for row in rows if row["WALLET_ID"] == wallet]
    assert len(own) > 1
    for row in own:
        (said,) = [each for each in explain(case, row["TX_ID"]).detectors if each.detector == "busy"]
        assert (said.score, said.threshold, said.flagged) == (row["busy_count"], 40.0, row["busy_anomaly"])
        (day,) = trace(looked.home, row["TX_ID"]).days
        assert isinstance(day, TracedDay)
        (told,) = [each for each in day.detectors if each.detector == "busy"]
        assert (told.score, told.flag_line) == (row["busy_count"], 40.0)


@pytest.mark.parametrize("changes", [{"busy.zscore_threshold": "30"}, {"busy.min_transactions": "20"}])
def test_other_settings_judge_by_the_same_that_came_before(looked: Looked, changes: dict[str, str]) -> None:
    """At another line, and fitted again."""
    compared, case = compare_day(looked.home, DAY, changes), Case.of(looked.home, DAY)
    line = float(changes.get("busy.zscore_threshold", 40.0))
    flagged = {row["TX_ID"] for row in looked.table.to_pylist() if row["busy_anomaly"] or _flagged_by_others(row)}
    others = {row["TX_ID"] for row in looked.table.to_pylist() if _flagged_by_others(row)}
    models = {wallet for name, wallet in case.listed(None) if name == "busy"}
    if "busy.min_transactions" in changes:
        history, _ = case.window_rows(None)
        models = {w for w, n in zip(history.wallet_ids, history.counts.tolist(), strict=True) if n >= 20}
    by_hand = counts_by_hand(looked.home, DAY)
    expected = others | {
        row["TX_ID"] for row in looked.table.to_pylist() if row["WALLET_ID"] in models and by_hand[row["TX_ID"]] > line
    }
    assert {row.tx_id for row in compared.added} == expected - flagged
    assert {row.tx_id for row in compared.removed} == flagged - expected


def test_a_day_that_it_did_not_judge_is_compared_by_what_is_there_now(looked: Looked) -> None:
    case = Case.of(looked.home, DAYS[1])
    history, _ = case.window_rows(None)
    models = {w for w, n in zip(history.wallet_ids, history.counts.tolist(), strict=True) if n >= 8}
    rows, by_hand = case.published.to_pylist(), counts_by_hand(looked.home, DAYS[1])
    busy = {row["TX_ID"] for row in rows if row["WALLET_ID"] in models and by_hand[row["TX_ID"]] > 40}
    compared = compare_case(case, looked.detection)
    assert {row.tx_id for row in compared.added} == busy - {row["TX_ID"] for row in rows if _flagged_by_others(row)}
    assert compared.added
    assert compared.removed == []


def _flagged_by_others(row: Mapping[str, Any]) -> bool:
    return bool(row["statistical_anomaly"] or row["isolation_forest_anomaly"])


def test_scores_that_name_too_few_days_are_not_judged_again(looked: Looked) -> None:
    case = Case.of(looked.home, DAY)
    made_from = tuple(edge for edge in case.scored.edges if edge.partition != str(DAY - timedelta(days=2)))
    forged = replace(case, scored=replace(case.scored, made_from=made_from))
    with pytest.raises(CorruptFile, match=f"do not name the raw day {DAY - timedelta(days=2)}"):
        scored_again(forged, None, print)


def test_a_correction_of_a_day_that_was_looked_back_on_makes_the_scores_stale_and_nothing_else(
    changeable: Looked,
) -> None:
    """A day before the window, so that the window has no part in it."""
    home, before = changeable.home, DAY - LOOKS_BACK
    assert before < Case.of(home, DAY).manifest.days.first
    assert stale_assets(home, changeable.detection) == set()
    correct(home, before)
    (stale, *_) = [each for each in stale_partitions(home, changeable.detection.settings_ids, OURS) if each.day == DAY]
    assert (stale.asset, stale.raw_days, stale.inputs) == (SCORED, (before,), ())
    assert stale_assets(home, changeable.detection).isdisjoint({WINDOW, MODELS})
    (traced,) = trace(home, changeable.table["TX_ID"][0].as_py()).days
    assert isinstance(traced, TracedDay)
    assert traced.since.raw_days_changed == (before,)
    assert since_words(traced.since) == [f"1 raw days looked back on were corrected: {before}"]
    assert Verifier(home).verify(DAY).grades() == PROVEN, "by the revision that was used"
    score(home, changeable.detection, DAY)
    assert [
        each
        for each in stale_partitions(home, changeable.detection.settings_ids, OURS)
        if each.asset == SCORED and each.day == DAY
    ] == []


def stale_assets(home: Home, detection: Detection) -> set[str]:
    """Assets of the day that no longer follow."""
    return {each.asset for each in stale_partitions(home, detection.settings_ids, OURS) if each.day == DAY}


def correct(home: Home, day: date) -> None:
    """Leave a wallet's first row out of a raw day."""
    seal = home.lake.require(RAW, day)
    tables = {role: home.lake.read(seal, role) for role in seal.files}
    kept = tables["transactions"].slice(1)
    with run_in(home).writing(home.lake, RAW, day) as writer:
        staged = writer.stage({**tables, "transactions": kept, "wallets": wallet_days(kept)})
        new, _ = writer.commit(
            staged, revision=content_digest(kept), verdicts=(), inputs=seal.inputs, counts=seal.counts
        )
        run_in(home).log(new)


def test_days_that_were_not_there_are_named_so_and_the_state_is_what_is_there(changeable: Looked) -> None:
    home, day = changeable.home, DAYS[0]
    score(home, changeable.detection, day)
    case = Case.of(home, day)
    missing = [str(one) for one, revision in sorted(case.days_before.items()) if revision is None]
    assert missing == ["2023-12-31", "2024-01-01", "2024-01-02"]
    assert len(case.days_before) == LOOKS_BACK.days
    by_hand = counts_by_hand(home, day)
    tx_id = case.published["TX_ID"][0].as_py()
    (traced,) = trace(home, tx_id, day=day).days
    assert isinstance(traced, TracedDay)
    assert traced.as_json()["looked_back"] == [
        {"day": str(one), "revision": revision} for one, revision in sorted(case.days_before.items())
    ]
    phrase = "15 days before it, 3 of them not there"
    assert phrase in flag_page(Trace(tx_id, [traced]), None, None)
    told = CliRunner().invoke(main, ["trace", tx_id, "--day", str(day)], env={"ANOMALY_HOME": str(home.root)})
    assert f"looked back on: {phrase}" in " ".join(told.stdout.split())
    judged = {row["TX_ID"]: row["busy_count"] for row in case.published.to_pylist() if row["busy_count"] is not None}
    assert judged == {tx_id: by_hand[tx_id] for tx_id in judged}
    assert Verifier(home).verify(day).grades() == PROVEN


def test_a_day_that_scores_left_out_is_told_from_one_that_was_not_there(changeable: Looked) -> None:
    """A raw day is away while the day is scored; then it is back as it was, then it is published again."""
    home, left_out = changeable.home, DAY - LOOKS_BACK
    raw, away = home.lake.local_folder(RAW, left_out), home.root / "away"
    raw.rename(away)
    score(home, changeable.detection, DAY)
    assert Verifier(home).verify(DAY).grades() == PROVEN
    shutil.copytree(away, raw)
    broken = Verifier(home).verify(DAY).broken
    assert broken is not None
    assert (broken.name, f"the scores leave {left_out} out" in broken.detail) == ("raw days before the scores", True)
    run_in(home).log(home.lake.require(RAW, left_out))
    proof = Verifier(home).verify(DAY)
    assert proof.grades() == PROVEN
    assert proof.notes == [f"1 days pinned as missing have a raw day now, the first is {left_out}"]


def test_scores_are_not_published_when_a_day_they_lack_arrives_meanwhile(changeable: Looked) -> None:
    home, late = changeable.home, DAY - LOOKS_BACK
    before, away = home.lake.require(SCORED, DAY), home.root / "away"
    home.lake.local_folder(RAW, late).rename(away)

    def arrives(said: str) -> None:
        if "rows against" in said:
            away.rename(home.lake.local_folder(RAW, late))

    store = StoreProvider.from_settings(RedisSettings())
    with pytest.raises(Superseded, match=f"{late} was published while the table of scores"):
        score_day(run_in(home, arrives), store, changeable.detection, DAY)
    assert home.lake.require(SCORED, DAY) == before


def test_after_an_erasure_the_other_wallets_are_proved(changeable: Looked) -> None:
    home, rows = changeable.home, changeable.table.to_pylist()
    gone = Counter(row["WALLET_ID"] for row in rows).most_common(1)[0][0]
    erase_wallet(
        run_in(home), StoreProvider.from_settings(RedisSettings()), gone, OURS, request=ErasureRequest(*ASKED[1::2])
    )
    assert Verifier(home).verify(DAY).grades() == PROVEN
    flag = next(row["TX_ID"] for row in rows if row["busy_anomaly"] and row["WALLET_ID"] != gone)
    assert Verifier(home).verify(DAY, [flag]).grades() == PROVEN
