"""What a later release may add changes nothing of what an earlier one wrote: tried with things that only exist here."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, ClassVar

import pytest

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import FORMAT_VERSION, SEAL_ID, Seal
from anomaly_assets.backfill import missing_raw_days
from anomaly_assets.dashboard import shell
from anomaly_assets.domain import border, detectors, layouts
from anomaly_assets.domain.algorithms import ALGORITHMS, STATISTICAL, Algorithm
from anomaly_assets.domain.border_rules import BorderRules
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.errors import NeedsRelease
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.identity import sealed_json
from anomaly_assets.domain.lineage import METRICS, RAW, SCORED, WINDOW
from anomaly_assets.evidence.proof import Grade, Outcome
from anomaly_assets.evidence.stale import stale_partitions
from anomaly_assets.evidence.trace import trace
from anomaly_assets.evidence.traced import TracedDay
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.release import RELEASE
from anomaly_assets.settings import Detection, StatisticalSettings
from anomaly_assets.settings.detector_sections import DETECTOR_SECTIONS
from anomaly_assets.settings.section import Section
from anomaly_assets.steps.measure import measure_day
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.score import score_day
from anomaly_assets.steps.settings_record import recorded_settings
from anomaly_assets.steps.train import train_models
from anomaly_assets.steps.window import build_window
from anomaly_assets.views.digests import Digests
from compat.frozen import Frozen
from compat.make_home import answer
from compat.test_frozen_dashboard import forget, opened

THIRD = replace(STATISTICAL, detector="third", score_column="third_score")


class ThirdDetector(StatisticalDetector):
    """A detector that no release has."""

    name: ClassVar[str] = THIRD.detector
    score_column: ClassVar[str] = THIRD.score_column


SMOOTHED = replace(STATISTICAL, fit_settings=(*STATISTICAL.fit_settings, "smoothing"), neutral={"smoothing": 0.0})


class SmoothedDetector(StatisticalDetector):
    """The z-score with a setting that came later, and another default than what was before it."""

    neutral: ClassVar[Any] = SMOOTHED.neutral

    def __init__(
        self,
        *,
        min_transactions: int,
        zscore_threshold: float,
        two_sided: bool,
        amount_scale: str,
        smoothing: float = 0.5,
    ) -> None:
        super().__init__(
            min_transactions=min_transactions,
            zscore_threshold=zscore_threshold,
            two_sided=two_sided,
            amount_scale=amount_scale,
        )
        self.smoothing = smoothing

    @property
    def fit_parameters(self) -> dict[str, Any]:
        return dict(SMOOTHED.without_neutral({**super().fit_parameters, "smoothing": self.smoothing}))

    def validate(self, model: Model) -> None:
        parameters = {key: value for key, value in model.parameters.items() if key != "smoothing"}
        super().validate(replace(model, parameters=parameters))


class SmoothedSettings(StatisticalSettings):
    """Its section."""

    smoothing: float = 0.5


class SecondAlgorithm(StatisticalDetector):
    """The z-score as it would be fitted otherwise."""

    algorithm_version: ClassVar[int] = 2


@dataclass(frozen=True)
class StricterRules(BorderRules):
    """Border rules with one that came later."""

    max_age_days: int = field(default=0, metadata={"neutral": 0})


@pytest.fixture
def configured(frozen: Frozen) -> Detection:
    """What the home was made with."""
    return frozen.settings.detection


def as_recorded(frozen: Frozen, detection: Detection) -> None:
    """Ids are those of before, the same is stale, and every scored day is proven."""
    home = frozen.home
    recorded = {path.stem for path in home.settings.glob("*.json")}
    assert {recorded_settings(home, each).settings_id for each in recorded} == recorded
    assert detection.settings_id in recorded
    stale = frozen.known["answers"]["stale"]["json"]["stale"]
    assert [
        {key: item.as_json()[key] for key in stale[0]} for item in stale_partitions(home, detection.settings_ids, OURS)
    ] == stale
    proven(home, frozen.days("scored"))


def proven(home: Home, days: list[date]) -> None:
    """Every day is, at three grades."""
    proofs = [Verifier(home).verify(day) for day in days]
    assert [(proof.day, proof.outcome, proof.broken) for proof in proofs] == [(day, "proven", None) for day in days]


def scored(home: Home, frozen: Frozen, detection: Detection, day: date) -> None:
    """Train, score and measure a day under these settings."""
    run = Run(home, "later", lambda: datetime.now(UTC), lambda _: None, 60.0)
    first, checks = frozen.settings.first_day, frozen.settings.checks
    build_window(run, detection, checks, day, first_day=first, max_missing_days=0)
    train_models(run, frozen.store, detection, day)
    score_day(run, frozen.store, detection, day)
    measure_day(run, detection, day)


def register(
    monkeypatch: pytest.MonkeyPatch, algorithm: Algorithm, detector: type[Any], section: type[Section]
) -> None:
    """What a release does that has this detector, its settings under its name."""
    monkeypatch.setitem(ALGORITHMS, algorithm.detector, algorithm)
    monkeypatch.setitem(detectors.DETECTORS, algorithm.detector, detector)
    monkeypatch.setitem(DETECTOR_SECTIONS, algorithm.detector, section)


def test_a_third_detector_changes_nothing_where_it_is_not_configured(
    frozen: Frozen, configured: Detection, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, THIRD, ThirdDetector, StatisticalSettings)
    as_recorded(frozen, configured)


def test_a_day_with_a_third_detector_lies_beside_days_without_and_outlives_it(
    changing: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a release has it no more, the day is missing it, traced and drawn from its record."""
    home, day = changing.home, changing.days("next")[0]
    values = changing.settings.detection.model_dump()
    with monkeypatch.context() as patched:
        register(patched, THIRD, ThirdDetector, StatisticalSettings)
        detection = Detection.of({**values, "third": {"min_transactions": 8, "zscore_threshold": 2.0}})
        assert detection.record.as_json()["format"] == 2
        scored(home, changing, detection, day)
        table = home.lake.read(home.lake.require(SCORED, day), "scored")
        assert {"third_anomaly", "third_score", "third_status", "third_model_id"} <= set(table.column_names)
        proven(home, [day, *changing.days("scored")])
    proof = Verifier(home).verify(day)
    assert proof.grades() == {
        Grade.INTACT: Outcome.PROVEN,
        Grade.RE_SCORED: Outcome.MISSING,
        Grade.RE_TRAINED: Outcome.MISSING,
    }
    assert f"needs release {RELEASE}" in str(proof.broken)
    row = table.to_pylist()[0]
    told = trace(home, row["TX_ID"], day=day).days[0]
    assert isinstance(told, TracedDay)
    assert [each.detector for each in told.detectors] == ["statistical", "isolation_forest", "third"]
    digests = Digests(home)
    assert digests.read("counts", [day]).num_rows
    assert [each.name for each in digests.detectors_of(digests.scored(day))][2] == "third"
    proven(home, changing.days("scored"))
    monkeypatch.setenv("ANOMALY_CONFIG", str(changing.folder / "anomaly.yaml"))
    monkeypatch.setenv("ANOMALY_SOURCE__COMPLETE_UNTIL", str(day))  # no later day is due
    forget()
    for page in ("overview", "distributions", "comparison", "timeline", "organisations", "operations"):
        opened(page=page, **{"from": str(changing.days("scored")[0]), "to": str(day)})
    screen = opened(tx=row["TX_ID"], day=str(day))
    assert shell.plain(f"needs release {RELEASE}") in screen.warning[0].value
    opened(wallet=row["WALLET_ID"], **{"from": str(day), "to": str(day)})
    forget()


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_a_setting_that_came_later_changes_no_id_at_its_neutral_value_and_no_proof_at_any(
    frozen: Frozen, configured: Detection, monkeypatch: pytest.MonkeyPatch, smoothing: float
) -> None:
    """At another value, be it the default, the configuration is another one; what was recorded stays what it was."""
    register(monkeypatch, SMOOTHED, SmoothedDetector, SmoothedSettings)
    values = configured.model_dump()
    later = Detection.of({**values, "statistical": {**values["statistical"], "smoothing": smoothing}})
    if smoothing == 0.0:
        assert (later.record, later.fit_id) == (configured.record, configured.fit_id)
        as_recorded(frozen, later)
    else:
        assert later.record.as_json()["format"] == 2
        assert later.settings_id != configured.settings_id
        proven(frozen.home, frozen.days("scored"))
    was = recorded_settings(frozen.home, configured.settings_id).detectors[0]
    assert getattr(detectors.detector_of(was), "smoothing", None) == 0.0


def test_a_border_rule_that_came_later_ingests_nothing_again(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    days = DayRange(frozen.days("scored")[-1], frozen.days("next")[0])
    assert missing_raw_days(frozen.home, frozen.settings, days) == []
    monkeypatch.setattr(border, "BorderRules", StricterRules)
    assert frozen.settings.border_rules.max_age_days == 0  # type: ignore[attr-defined]
    assert missing_raw_days(frozen.home, frozen.settings, days) == []
    monkeypatch.setattr(border, "BorderRules", lambda **rules: StricterRules(**rules, max_age_days=3))
    assert len(missing_raw_days(frozen.home, frozen.settings, days)) == len(days) + frozen.settings.window.days


@pytest.mark.parametrize("kept", [True, False], ids=["the former is kept", "the former is gone"])
def test_another_algorithm_version_is_missing_the_former_and_contradicts_nothing(
    changing: Frozen, monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    register(monkeypatch, replace(STATISTICAL, version=2), SecondAlgorithm, StatisticalSettings)
    home, days = changing.home, changing.days("scored")
    if kept:
        monkeypatch.setitem(detectors.FORMER, ("statistical", 1), StatisticalDetector)
        proven(home, days)
        return
    told = answer(changing.folder, ["verify", "--day", str(days[-1])])
    assert told["exit_code"] == 2
    assert told["json"]["proofs"][0]["grades"] == {
        "intact": "proven",
        "re-scored": "missing",
        "re-trained": "missing",
    }
    assert f"needs release {changing.release}" in str(told["json"])
    tx_id = next(row["TX_ID"] for row in home.lake.read(home.lake.require(SCORED, days[-1]), "scored").to_pylist())
    assert answer(changing.folder, ["trace", tx_id])["exit_code"] == 0
    explained = answer(changing.folder, ["explain", tx_id])
    assert (explained["exit_code"], f"needs release {changing.release}" in explained["complaint"]) == (2, True)


def test_what_is_configured_is_built_as_it_is_recorded(configured: Detection) -> None:
    """The code of every detector agrees with what records say of its algorithm."""
    for recorded, detector in zip(configured.record.detectors, configured.detectors(), strict=True):
        known: Detector = detector
        assert (known.name, known.algorithm_version, known.score_column) == (
            recorded.name,
            recorded.algorithm_version,
            recorded.score_column,
        )
        assert known.fit_parameters == recorded.fit_parameters
        assert tuple((each.name, str(each.type)) for each in known.extra_columns) == recorded.extra_columns


def test_what_a_newer_release_sealed_is_neither_replaced_nor_left_out(changing: Frozen) -> None:
    """Its window, a raw day of a window to come: the day is refused, and every file stays as it was."""
    home, day, detection = changing.home, changing.days("scored")[-1], changing.settings.detection
    for asset, sealed, asked in ((WINDOW, day, day), (RAW, day, changing.days("next")[0])):
        path = home.lake.local_folder(asset, sealed) / "seal.json"
        content = path.read_bytes()
        seal = Seal.from_bytes(content, "seal.json")
        path.write_bytes(sealed_json({**seal.content, "format": FORMAT_VERSION + 1}, SEAL_ID))
        before = changing.contents("lake", "output", "models")
        with pytest.raises(NeedsRelease, match=f"format {FORMAT_VERSION + 1}"):
            scored(home, changing, detection, asked)
        assert changing.contents("lake", "output", "models") == before
        assert Verifier(home).verify(day).outcome == "missing"
        path.write_bytes(content)
    proven(home, [day])


def test_a_recorded_setting_that_this_release_has_not_is_missing_and_no_mismatch(
    changing: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release that came later scored a day with it; this one is asked afterwards."""
    home, day = changing.home, changing.days("next")[0]
    values = changing.settings.detection.model_dump()
    with monkeypatch.context() as patched:
        register(patched, SMOOTHED, SmoothedDetector, SmoothedSettings)
        detection = Detection.of({**values, "statistical": {**values["statistical"], "smoothing": 0.5}})
        scored(home, changing, detection, day)
        proven(home, [day])
    proof = Verifier(home).verify(day)
    assert (proof.outcome, proof.grades()[Grade.INTACT]) == (Outcome.MISSING, Outcome.PROVEN)
    assert "smoothing" in str(proof.broken)
    digests = Digests(home)
    assert detectors.known_detectors(digests.detectors_of(digests.scored(day)))[0].name == "isolation_forest"


def test_a_layout_that_came_later_makes_no_older_day_stale_and_unprovable(
    changing: Frozen, configured: Detection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sealed in it is missing to a release that does not know it, and nothing is said against it."""
    home, day = changing.home, changing.days("next")[0]
    with monkeypatch.context() as patched:
        for asset in (WINDOW, SCORED, METRICS):
            patched.setitem(layouts.LAYOUTS, asset, 2)
        as_recorded(changing, configured)
        scored(home, changing, configured, day)
        assert home.lake.require(SCORED, day).layout == 2
    assert Verifier(home).verify(day).outcome == "missing"
    with pytest.raises(NeedsRelease, match="layout 2"):
        scored(home, changing, configured, day)
    proven(home, changing.days("scored"))


def test_what_is_mended_in_an_older_home_is_mended_under_the_seal_that_was_published(changing: Frozen) -> None:
    home, day = changing.home, changing.days("same_when_run_again")[-1]
    before = changing.contents("lake", "output", "models")
    for asset in (WINDOW, SCORED):
        seal = home.lake.require(asset, day)
        (file,) = seal.files.values()
        (home.lake.local_folder(asset, day) / file.name).write_bytes(b"broken")
    scored(home, changing, changing.settings.detection, day)
    assert changing.contents("lake", "output", "models") == before
