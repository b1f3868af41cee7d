"""A home of an earlier release goes on: what is run again is equal, and the next day trains, scores and is proven."""

from datetime import date

import dagster as dg
import pytest
from graph.deployment import Deployment, error_of

from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.evidence.proof import Grade, Outcome
from anomaly_assets.evidence.stale import stale_partitions
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.jobs import DETECT, INGEST
from anomaly_assets.steps.move_source import SAMPLE_DAYS
from compat.frozen import NAMES, Frozen, copied, differences, unpacked
from compat.make_home import answer

SEALED = ("lake", "output", "models", "settings", "erasures", "truth", "home.json")
DETECTED = [WINDOW, MODELS, SCORED, METRICS]


def proven(frozen: Frozen, days: list[date]) -> None:
    """Every one of the days is, at three grades, from the head that was kept before."""
    verifier = Verifier(frozen.home, head=frozen.known["log_head"])
    for day in days:
        proof = verifier.verify(day)
        assert proof.grades() == dict.fromkeys(Grade, Outcome.PROVEN), proof.broken


def stale(frozen: Frozen) -> list[tuple[str, date, str]]:
    """What no longer follows, and why."""
    found = stale_partitions(frozen.home, frozen.settings.detection.settings_ids, OURS)
    return [(item.asset, item.day, item.because) for item in found]


def test_a_day_that_is_detected_again_gives_equal_bytes_and_the_same_generation(changing: Frozen) -> None:
    """Scores, seals, models and published files; the log alone grows, by a line for each asset."""
    days, before, log = (
        changing.days("same_when_run_again"),
        changing.contents(*SEALED),
        changing.home.log.path.read_bytes(),
    )
    with changing.deployment() as deployment:
        for day in days:
            result = deployment.run(DETECT, day)
            assert result.success, error_of(result)
            assert deployment.failed_checks(day) == set()
            assert deployment.says(result, "0 to fit")
    assert changing.contents(*SEALED) == before
    grown = changing.home.log.path.read_bytes()
    assert grown.startswith(log)
    added = list(changing.home.log.entries())[log.count(b"\n") :]
    assert [(entry["asset"], entry["day"]) for entry in added] == [
        (asset, str(day)) for day in days for asset in DETECTED
    ]


def test_a_raw_day_that_is_ingested_again_is_the_same_revision(changing: Frozen) -> None:
    """The first day, one of the window, and the last: the source and the border give what they gave."""
    before = changing.contents(*SEALED)
    days = [changing.settings.first_day, *changing.days("scored")[:1], *changing.days("next")[-1:]]
    with changing.deployment() as deployment:
        revisions = [deployment.seal(RAW, day).revision for day in days]
        for day in days:
            result = deployment.run(INGEST, day)
            assert result.success, error_of(result)
        assert [deployment.seal(RAW, day).revision for day in days] == revisions
    assert changing.contents(*SEALED) == before


def test_the_next_day_trains_and_scores_and_old_and_new_days_are_proven(changing: Frozen) -> None:
    """By the command, which ingests nothing and leaves what is up to date alone."""
    followed, follow = changing.days("same_when_run_again"), changing.days("next")[:1]
    before, answers, unfollowed = changing.contents(*SEALED), changing.known["answers"], stale(changing)
    told = answer(changing.folder, ["backfill", "--from", str(followed[0]), "--to", str(follow[-1])])
    assert (told["exit_code"], told["complaint"]) == (0, "")
    report = told["json"]
    assert (report["ingested"], report["failed"]) == (0, [])
    assert report["up_to_date"] == [str(day) for day in followed]
    assert report["detected"] == [str(day) for day in follow]
    now = changing.contents(*SEALED)
    assert {path: now.get(path) for path in before} == before
    assert stale(changing) == unfollowed
    proven(changing, [*changing.days("scored"), *follow])
    explained = next(command for command in answers if command.startswith("explain "))
    assert differences(answers[explained], answer(changing.folder, explained.split())) == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("/refunds")])
def test_files_of_an_earlier_release_are_taken_where_they_lie_now_once_sealed_days_are_the_same(name: str) -> None:
    """By the settings beside the home, which name them relative to themselves."""
    with unpacked(name) as home, copied(home) as changing:
        before, entries = changing.contents("lake", "settings", "erasures"), list(changing.home.log.entries())
        record = {key: value for key, value in changing.home.bound_record().items() if key != "place"}
        days = [changing.settings.first_day, *changing.days("next")[:1]]
        deployment = Deployment(changing.folder, dg.DagsterInstance.ephemeral())
        deployment.settings = changing.settings
        try:
            deployment.ingest(*days)
        finally:
            deployment.close()
        move, *commits = list(changing.home.log.entries())[len(entries) :]
        assert (move["kind"], move["from"]) == ("move", {"path": changing.files})
        assert move["to"] == {"path": str(changing.folder / changing.files)}
        assert len(move["days"]) == SAMPLE_DAYS
        assert [commit["day"] for commit in commits] == list(map(str, days))
        assert changing.contents("lake", "settings", "erasures") == before
        assert changing.home.bound_record().items() >= record.items()
        proven(changing, changing.days("scored"))
