"""Population artifacts: sealed with what they are made with, named in recipes, handed to all that fits or judges.

The detector is the guest of the tests: it is given one table made with the window and one made after the fits.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest
from cli.conftest import empty_folder
from click.testing import CliRunner
from detectors_beside.velocity.detector import VELOCITY, VelocityDetector

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.cli import main as cli
from anomaly_assets.domain import detectors
from anomaly_assets.domain.algorithms import ALGORITHMS
from anomaly_assets.domain.artifacts import LARGEST_BYTES, recipe_artifacts, roles_in
from anomaly_assets.domain.detectors.base import Model
from anomaly_assets.domain.erasure_request import ErasureRequest
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import MODELS, SCORED, WINDOW
from anomaly_assets.domain.recipes import recipe_id
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.evidence.again import AS_SEALED
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.compare import compare_day
from anomaly_assets.evidence.proof import Grade, Outcome, Proof
from anomaly_assets.evidence.trace import trace
from anomaly_assets.evidence.traced import TracedDay
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.settings import CheckSettings, Detection, RedisSettings
from anomaly_assets.settings.detector_sections import DETECTOR_SECTIONS
from anomaly_assets.steps.erase import erase_wallet
from anomaly_assets.steps.measure import measure_day
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.score import score_day
from anomaly_assets.steps.train import train_models
from anomaly_assets.steps.window import build_window
from evidence.conftest import DAYS

pytestmark = pytest.mark.xdist_group("artifacts")

DAY, FIRST_DAY, NAME = DAYS[-1], date(2024, 1, 1), VELOCITY.algorithm.detector
PACE, HURRY = f"artifact.{NAME}.pace", f"artifact.{NAME}.hurry"
PROVEN = dict.fromkeys(Grade, Outcome.PROVEN)
LINK = "population artifacts"
ASKED = ErasureRequest("a clerk", "a contract ended", "T-1")
Make = Callable[[VelocityDetector, str, WalletRows, Sequence[Model]], pa.Table]


@dataclass
class Judged:
    """A home in which it judged the last day beside ours."""

    home: Home
    detection: Detection

    def run(self) -> Run:
        return Run(self.home, "again", lambda: datetime(2024, 2, 1, tzinfo=UTC), lambda _: None, 5)

    def judge(self, day: date = DAY) -> None:
        run, store = self.run(), StoreProvider.from_settings(RedisSettings())
        build_window(run, self.detection, CheckSettings(), day, first_day=FIRST_DAY, max_missing_days=0)
        train_models(run, store, self.detection, day)
        score_day(run, store, self.detection, day)
        measure_day(run, self.detection, day)

    def seal(self, asset: str) -> Seal:
        return self.home.lake.require(asset, DAY)

    def proof(self, tx_ids: Sequence[str] | None = None) -> Proof:
        return Verifier(self.home).verify(DAY, tx_ids)

    def copied_to(self, folder: Path) -> "Judged":
        shutil.copytree(self.home.root, folder / "home", ignore=shutil.ignore_patterns("locks", "store"))
        return Judged(Home(folder / "home"), self.detection)


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its entry point does where it is installed."""
    monkeypatch.setitem(ALGORITHMS, NAME, VELOCITY.algorithm)
    monkeypatch.setitem(detectors.DETECTORS, NAME, VELOCITY.detector)
    monkeypatch.setitem(DETECTOR_SECTIONS, NAME, VELOCITY.section)


@pytest.fixture(scope="module")
def once(proved: Path) -> Iterator[Judged]:
    with empty_folder() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        shutil.copytree(proved / "home", folder / "home", ignore=shutil.ignore_patterns("dagster", "locks", "store"))
        home = Home(folder / "home")
        register(monkeypatch)
        settings = {"min_transactions": 8, "times_usual": 1.0}
        detection = Detection.of({**Detection.of_record(Case.of(home, DAY).settings).model_dump(), NAME: settings})
        made = Judged(home, detection)
        made.judge()
        yield made


@pytest.fixture
def judged(once: Judged, monkeypatch: pytest.MonkeyPatch) -> Judged:
    """That home, only to be read."""
    register(monkeypatch)
    return once


@pytest.fixture
def own(judged: Judged) -> Iterator[Judged]:
    """A home of its own, to be changed."""
    with empty_folder() as folder:
        yield judged.copied_to(folder)


def test_they_are_sealed_with_what_they_are_made_with_and_only_of_those_that_need_them(
    judged: Judged, untouched: Home
) -> None:
    held = {asset: roles_in(judged.seal(asset).files) for asset in (WINDOW, MODELS, SCORED)}
    assert held == {WINDOW: [PACE], MODELS: [HURRY], SCORED: []}
    assert not [role for asset in held for role in roles_in(untouched.lake.require(asset, DAY).files)]


def test_recipes_name_what_was_made_with_the_window_and_nothing_made_after_the_fits(
    judged: Judged, untouched: Home
) -> None:
    case = Case.of(judged.home, DAY)
    listed = {(row["detector"], row["wallet_id"]): row["recipe_id"] for row in case.models_table.to_pylist()}
    pace = {"pace": table_digest(judged.home.lake.read(case.window, PACE))}
    (detector,) = [detector for detector in case.detectors if detector.name == NAME]
    assert recipe_artifacts(detector) == pace
    rows = {row["wallet_id"]: row["rows_digest"] for row in case.window_table.to_pylist()}
    own = {wallet: recipe for (name, wallet), recipe in listed.items() if name == NAME}
    assert own
    assert own == {wallet: recipe_id(detector, wallet, rows[wallet], pace) for wallet in own}
    ours = {(row["detector"], row["wallet_id"]): row["recipe_id"] for row in models_without(untouched)}
    assert {key: recipe for key, recipe in listed.items() if key[0] != NAME} == ours, "others name nothing of it"


def models_without(home: Home) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = Case.of(home, DAY).models_table.to_pylist()
    return rows


def test_what_is_made_after_the_fits_is_made_of_a_sample_of_fitted_wallets(judged: Judged) -> None:
    (need,) = [need for need in VelocityDetector.needs.artifacts if need.after_fits]
    case = Case.of(judged.home, DAY)
    usual = {
        w: float(m.arrays["usual"][0]) for (name, w), m in case.models_of(wallets_of(case)).items() if name == NAME
    }
    sample = sorted(usual, key=lambda wallet: sha256(wallet.encode()).digest())[: need.max_wallets]
    assert 0 < len(sample) < len(usual)
    (value,) = judged.home.lake.read(case.models, HURRY).column("count").to_pylist()
    assert value == pytest.approx(sum(usual[wallet] for wallet in sample) / len(sample), abs=1e-12)


def wallets_of(case: Case) -> list[str]:
    return [row["wallet_id"] for row in case.models_table.to_pylist() if row["detector"] == NAME]


def test_a_day_and_a_flag_of_it_are_proved_with_the_tables_made_again(judged: Judged) -> None:
    flagged = next(row["TX_ID"] for row in Case.of(judged.home, DAY).published.to_pylist() if row["velocity_anomaly"])
    for proof in (judged.proof(), judged.proof([flagged])):
        assert proof.grades() == PROVEN, proof.broken
        assert LINK in [link.name for link in proof.links]
        assert AS_SEALED not in proof.notes


def test_training_again_makes_the_same_bytes_and_the_same_generation(own: Judged) -> None:
    before = [own.seal(asset) for asset in (WINDOW, MODELS, SCORED)]
    own.judge()
    assert [own.seal(asset) for asset in (WINDOW, MODELS, SCORED)] == before


def test_a_trace_names_them_in_json_and_in_the_terminal(judged: Judged) -> None:
    row = next(row for row in Case.of(judged.home, DAY).published.to_pylist() if row["velocity_anomaly"])
    traced = trace(judged.home, row["TX_ID"], day=DAY)
    (day,) = traced.days
    assert isinstance(day, TracedDay)
    by_detector = {each["detector"]: each["model"] for each in (each.as_json() for each in day.detectors)}
    digests = {
        "pace": table_digest(judged.home.lake.read(judged.seal(WINDOW), PACE)),
        "hurry": table_digest(judged.home.lake.read(judged.seal(MODELS), HURRY)),
    }
    assert by_detector[NAME]["artifacts"] == digests  # type: ignore[index, call-overload]
    assert [name for name, model in by_detector.items() if model and "artifacts" in str(model)] == [NAME]
    said = CliRunner().invoke(cli, ["trace", row["TX_ID"], "--home", str(judged.home.root)])
    assert said.exit_code == 0, said.output
    for name, digest in digests.items():
        assert f"population artifact {name} {digest[:16]}" in said.output


def test_other_settings_are_compared_with_the_days_own_tables_or_with_new_ones(judged: Judged) -> None:
    """Where only the line moves the day's models and tables judge; fitted otherwise, both are made in memory."""
    stricter = compare_day(judged.home, DAY, {f"{NAME}.times_usual": "5.0"})
    assert len(stricter.removed) > 0 == len(stricter.added)
    same = compare_day(judged.home, DAY, {f"{NAME}.min_transactions": "8"})
    assert (list(same.added), list(same.removed)) == ([], [])
    fewer = compare_day(judged.home, DAY, {f"{NAME}.min_transactions": "200"})
    assert len(fewer.removed) > 0 == len(fewer.added)


@pytest.mark.parametrize("name", ["pace", "hurry"])
def test_a_table_that_the_pinned_rows_do_not_give_is_a_mismatch(
    own: Judged, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whoever sealed it made everything after it consistent with it: only making it again tells."""
    with monkeypatch.context() as forging:
        forging.setattr(VelocityDetector, "artifact", forged(name, VelocityDetector.artifact))
        own.judge()
    require_forged(own.proof(), name)


def forged(name: str, real: Make) -> Make:
    def artifact(detector: VelocityDetector, asked: str, window: WalletRows, models: Sequence[Model] = ()) -> pa.Table:
        return pa.table({"count": [7.5]}) if asked == name else real(detector, asked, window, models)

    return artifact


@pytest.mark.parametrize(("asset", "role"), [(WINDOW, PACE), (MODELS, HURRY)])
def test_a_table_whose_file_was_changed_breaks_the_lowest_grade(own: Judged, asset: str, role: str) -> None:
    path = own.home.lake.path_of(own.seal(asset), role)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[::-1])
    proof = own.proof()
    assert proof.broken is not None
    assert (proof.broken.grade, proof.broken.name) == (Grade.INTACT, asset)
    assert path.name in proof.broken.detail


def test_a_day_that_was_sealed_without_a_table_that_is_needed_says_so(judged: Judged) -> None:
    seal = judged.seal(WINDOW)
    without = replace(seal, files={role: file for role, file in seal.files.items() if role != PACE})
    case = replace(Case.of(judged.home, DAY), window=without)
    with pytest.raises(CorruptFile, match=r"holds no artifact pace of velocity(.|\n)*materialize"):
        _ = case.detectors


def test_an_erasure_leaves_them_and_the_proof_says_that_it_took_them_as_given(own: Judged) -> None:
    case = Case.of(own.home, DAY)
    places = [own.home.lake.path_of(case.window, PACE), own.home.lake.path_of(case.models, HURRY)]
    before = [path.read_bytes() for path in places]
    wallet = wallets_of(case)[0]
    erase_wallet(own.run(), StoreProvider.from_settings(RedisSettings()), wallet, OURS, request=ASKED)
    assert [path.read_bytes() for path in places] == before
    proof = own.proof()
    assert proof.grades() == PROVEN, proof.broken
    assert AS_SEALED in proof.notes

    own.judge()
    assert places[0] != own.home.lake.path_of(own.seal(WINDOW), PACE), "of those that are left, when run again"
    again = own.proof()
    assert again.grades() == PROVEN, again.broken
    assert AS_SEALED not in again.notes


def test_an_erasure_hides_no_forged_table_that_it_took_nothing_from(
    own: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a wallet without a model went into what was made after the fits."""
    with monkeypatch.context() as forging:
        forging.setattr(VelocityDetector, "artifact", forged("hurry", VelocityDetector.artifact))
        own.judge()
    case = Case.of(own.home, DAY)
    listed = set(case.models_table.column("wallet_id").to_pylist())
    wallet = min(set(case.window_table.column("wallet_id").to_pylist()) - listed)
    erase_wallet(own.run(), StoreProvider.from_settings(RedisSettings()), wallet, families=OURS, request=ASKED)
    require_forged(own.proof(), "hurry")


def test_what_is_forged_after_an_erasure_is_a_mismatch(own: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    wallet = wallets_of(Case.of(own.home, DAY))[0]
    run, store = own.run(), StoreProvider.from_settings(RedisSettings())
    erase_wallet(run, store, wallet, families=OURS, request=ASKED)
    with monkeypatch.context() as forging:
        forging.setattr(VelocityDetector, "artifact", forged("hurry", VelocityDetector.artifact))
        train_models(run, store, own.detection, DAY)
        score_day(run, store, own.detection, DAY)
    require_forged(own.proof(), "hurry")


def require_forged(proof: Proof, name: str) -> None:
    assert proof.broken is not None
    assert (proof.broken.grade, proof.broken.name, proof.broken.outcome) == (Grade.RE_TRAINED, LINK, Outcome.MISMATCH)
    assert f"artifact.{NAME}.{name}" in proof.broken.detail


def test_a_window_made_for_other_models_is_not_trained_on(own: Judged) -> None:
    values = own.detection.model_dump()
    other = Detection.of({**values, NAME: {**values[NAME], "min_transactions": 4}})
    with pytest.raises(NotSealed, match=r"made for models of other settings(.|\n)*run detect_anomalies"):
        train_models(own.run(), StoreProvider.from_settings(RedisSettings()), other, DAY)


def test_a_broken_table_leaves_other_detectors_to_be_judged_again(own: Judged) -> None:
    own.home.lake.path_of(own.seal(MODELS), HURRY).unlink()
    case = Case.of(own.home, DAY)
    by_name = {recorded.name: recorded for recorded in case.settings.detectors}
    assert case.detector(by_name["statistical"]).of_day is not None
    with pytest.raises(CorruptFile, match="hurry"):
        case.detector(by_name[NAME])
    row = next(row for row in case.published.to_pylist() if row["velocity_anomaly"] and row["statistical_model_id"])
    (day,) = trace(own.home, row["TX_ID"], day=DAY).days
    assert isinstance(day, TracedDay)
    told = {each.detector: each for each in day.detectors}
    assert told["statistical"].flag_line is not None
    assert told[NAME].flag_line is None
    assert "hurry" in (told[NAME].missing or "")
    said = CliRunner().invoke(cli, ["trace", row["TX_ID"], "--home", str(own.home.root)])
    assert "not judged again: wallet_models/" in said.output


def test_models_that_depend_on_the_end_of_their_window_say_so_in_their_recipes(
    own: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {row["recipe_id"] for row in models_without(own.home) if row["detector"] == NAME}
    monkeypatch.setattr(VelocityDetector, "needs", replace(VelocityDetector.needs, window_end=True))
    own.judge()
    after = {row["recipe_id"] for row in models_without(own.home) if row["detector"] == NAME}
    assert not before & after
    proof = own.proof()
    assert proof.grades() == PROVEN, proof.broken


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (pa.table({"wallet_id": ["w"]}), "a column wallet_id that names wallets"),
        (pa.table({"busiest": ["nobody", "W000001"]}), "a column busiest that names wallets"),
        (pa.table({"count": [0.0] * (LARGEST_BYTES // 8 + 1)}), "bytes"),
        (pa.table({"since": pa.array([0], pa.timestamp("s"))}), r"a column since of type timestamp\[s\]"),
    ],
    ids=["a column of wallets", "an id of a wallet", "too large", "another type"],
)
def test_a_table_that_names_wallets_is_large_or_would_be_read_back_as_another_is_refused(
    own: Judged, monkeypatch: pytest.MonkeyPatch, table: pa.Table, complaint: str
) -> None:
    monkeypatch.setattr(VelocityDetector, "artifact", lambda *_: table)
    with pytest.raises(ValueError, match=complaint):
        own.judge()
