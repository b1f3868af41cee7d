"""gc drops what no kept day lists and what never flagged anything; everything else is found where it was."""

import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cli.conftest import SMALL, Shell, empty_folder

from anomaly_assets.adapters import failpoints
from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.adapters.model_archive import NEARBY_DAYS, ModelArchive
from anomaly_assets.domain.errors import Busy, CorruptFile
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.gc import Collected, collect

pytestmark = pytest.mark.xdist_group("gc")

DETECTORS = ("statistical", "isolation_forest")
EXPIRED = [date(2024, 1, 7), date(2024, 1, 8), date(2024, 1, 9), date(2024, 1, 22)]
KEPT = [date(2024, 1, 23), date(2024, 2, 6)]
"""With 14 days: the first is kept 14 days before the second, the day before it is not, but its packs are shared."""
FLAGGED_DAY = EXPIRED[1]
TRIAL = "0123456789abcdef"


@pytest.fixture(scope="module")
def finished() -> Iterator[Path]:
    """Days of all kinds scored; only to be copied."""
    with empty_folder() as folder:
        for first, last in (("01-07", "01-09"), ("01-22", "01-23"), ("02-06", "02-06")):
            Shell(folder).json("backfill", "--from", f"2024-{first}", "--to", f"2024-{last}", **SMALL)
        EmbeddedStore(folder / "home" / "store", 64).stop()
        yield folder


@pytest.fixture
def shell(finished: Path) -> Iterator[Shell]:
    """A copy of it."""
    with empty_folder() as folder:
        shutil.copytree(finished, folder, dirs_exist_ok=True)
        yield Shell(folder)


def run_gc(shell: Shell, *, keep_days: int = 14, dry_run: bool = False) -> Collected:
    return collect(Home(shell.home), keep_days=keep_days, timeout_seconds=0, dry_run=dry_run)


def listed(home: Home, day: date) -> set[str]:
    """Ids of the models of a day."""
    return set(Case.of(home, day).models_table.column("model_id").to_pylist())


def flagging(home: Home, day: date) -> set[str]:
    """Ids of the models that flagged a row of a day."""
    rows = home.lake.read(home.lake.require("scored_transactions", day), "scored").to_pylist()
    return {row[f"{name}_model_id"] for row in rows for name in DETECTORS if row[f"{name}_anomaly"]}


def stored(home: Home) -> set[tuple[date, str]]:
    """Every payload that lies in the archive: day of its pack and id."""
    packs = home.models.root.glob("*/*.parquet")
    return {
        (date.fromisoformat(pack.parent.name), model_id)
        for pack in packs
        for model_id in pq.read_table(pack, partitioning=None).column("model_id").to_pylist()
    }


def results(shell: Shell) -> dict[str, str]:
    """Digests of all files of results."""
    return shell.results()


def test_every_kept_day_and_every_flag_finds_its_models_and_nothing_else_remains(shell: Shell) -> None:
    home = Home(shell.home)
    before = stored(home)
    needed = {day: listed(home, day) for day in KEPT} | {day: flagging(home, day) for day in EXPIRED}
    expected = {
        (pack, model_id)
        for pack, model_id in before
        if any(abs((pack - day).days) <= NEARBY_DAYS and model_id in ids for day, ids in needed.items())
    }
    shared = {model_id for pack, model_id in before if pack == EXPIRED[-1]} & needed[KEPT[0]]
    assert shared - {model_id for pack, model_id in before if pack == KEPT[0]}, "a kept day leans on an expired pack"
    assert needed[FLAGGED_DAY]

    done = run_gc(shell)

    assert (done.first_kept, done.newest) == (KEPT[0], KEPT[1])
    assert stored(home) == expected
    assert expected < before
    assert (done.archive.kept, done.archive.dropped) == (len(expected), len(before) - len(expected))
    for day, ids in needed.items():
        assert home.models.get(day, ids).keys() == ids


def test_a_second_gc_changes_nothing(shell: Shell) -> None:
    run_gc(shell)
    before = results(shell)
    again = run_gc(shell).archive
    assert (again.dropped, again.rewritten, again.removed) == (0, 0, 0)
    assert results(shell) == before


def test_a_dry_run_says_what_would_go_and_touches_nothing(shell: Shell) -> None:
    before = {path: path.read_bytes() for path in shell.home.rglob("*") if path.is_file()}
    would = run_gc(shell, dry_run=True)
    assert {path: path.read_bytes() for path in shell.home.rglob("*") if path.is_file()} == before
    assert would.archive.dropped > 0
    assert run_gc(shell) == would


def test_a_kept_day_is_scored_again_from_the_archive_to_the_same_bytes(shell: Shell) -> None:
    run_gc(shell)
    home, day = Home(shell.home), KEPT[0]
    published, archive = home.published_path(day).read_bytes(), stored(home)
    shutil.rmtree(home.lake.local_folder("scored_transactions", day))
    home.published_path(day).unlink()
    done = shell.json("backfill", "--from", str(day), "--to", str(day), **SMALL)
    assert done["detected"] == [str(day)]
    assert home.published_path(day).read_bytes() == published
    assert stored(home) == archive, "no model was fitted again"


def test_a_dropped_model_of_an_expired_day_is_fitted_again_to_the_same_id(shell: Shell) -> None:
    run_gc(shell)
    case = Case.of(Home(shell.home), FLAGGED_DAY)
    rows = case.models_table.to_pylist()
    dropped = {row["model_id"] for row in rows} - case.archived([row["model_id"] for row in rows])[0].keys()
    wallets = sorted({row["wallet_id"] for row in rows if row["model_id"] in dropped})
    assert {row["detector"] for row in rows if row["model_id"] in dropped} == set(DETECTORS)
    models = case.models_of(wallets)
    assert {key: model.model_id for key, model in models.items()} == {
        key: row["model_id"] for key, row in case.listed(wallets).items()
    }


def test_tables_of_models_stay_for_ever(shell: Shell) -> None:
    lake = {name: digest for name, digest in results(shell).items() if "/lake/" in name or "/output/" in name}
    run_gc(shell, keep_days=0)
    assert lake.items() <= results(shell).items()


def test_flags_of_revisions_that_are_not_current_keep_their_models(shell: Shell) -> None:
    home = Home(shell.home)
    ids = flagging(home, FLAGGED_DAY)
    (home.lake.local_folder("scored_transactions", FLAGGED_DAY) / "seal.json").unlink()
    run_gc(shell, keep_days=0)
    assert home.models.get(FLAGGED_DAY, ids).keys() == ids


def test_flags_of_trials_keep_their_models(shell: Shell) -> None:
    home = Home(shell.home)
    ids, all_ids = flagging(home, FLAGGED_DAY), listed(home, FLAGGED_DAY)
    trial = home.trial_lake(TRIAL)
    for asset in ("scored_transactions", "wallet_models"):
        trial.local_folder(asset, FLAGGED_DAY).parent.mkdir(parents=True)
        shutil.move(home.lake.local_folder(asset, FLAGGED_DAY), trial.local_folder(asset, FLAGGED_DAY))
    run_gc(shell)
    assert home.models.get(FLAGGED_DAY, ids).keys() == ids
    assert not home.models.get(FLAGGED_DAY, all_ids).keys() >= all_ids


def test_models_that_their_day_was_not_scored_with_yet_are_kept(shell: Shell) -> None:
    """A run killed between training and scoring goes on with them."""
    home = Home(shell.home)
    ids = listed(home, FLAGGED_DAY)
    shutil.rmtree(home.lake.local_folder("scored_transactions", FLAGGED_DAY))
    run_gc(shell, keep_days=0)
    assert home.models.get(FLAGGED_DAY, ids).keys() == ids


def _file_of(asset: str, role: str, day: date) -> Callable[[Home], Path]:
    return lambda home: home.lake.path_of(home.lake.require(asset, day), role)


def _recorded_seal(home: Home) -> Path:
    return next((home.lake.local_folder("scored_transactions", FLAGGED_DAY) / "seals" / "all").glob("*.json"))


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(_file_of("scored_transactions", "scored", FLAGGED_DAY), id="scores of an expired day"),
        pytest.param(_file_of("wallet_models", "models", KEPT[0]), id="models table of a kept day"),
        pytest.param(_recorded_seal, id="an earlier seal"),
    ],
)
def test_what_cannot_be_read_stops_it_and_nothing_is_dropped(shell: Shell, damaged: Callable[[Home], Path]) -> None:
    path = damaged(Home(shell.home))
    path.write_bytes(path.read_bytes()[:-40])
    before = results(shell)
    done = shell.run("gc", "--json", **SMALL)
    assert done.returncode == 70
    assert str(path.parent.name if path.name == "seal.json" else path.name) in done.stderr.replace("\n", "")
    assert results(shell) == before
    path.unlink()
    if path.suffix == ".parquet":
        with pytest.raises(CorruptFile, match="is missing"):
            run_gc(shell)


def test_killed_between_the_new_pack_and_the_removal_of_the_old_one_nothing_is_lost(
    shell: Shell, finished: Path
) -> None:
    home = Home(shell.home)
    before = stored(home)
    killed = shell.run_apart("gc", **SMALL, **{failpoints.ENV: "model_archive.rewritten=kill"})
    assert killed.returncode == -signal.SIGKILL
    assert stored(home) == before
    run_gc(shell)
    after = stored(home)
    with empty_folder() as undisturbed:
        shutil.copytree(finished, undisturbed, dirs_exist_ok=True)
        run_gc(Shell(undisturbed))
        assert after == stored(Home(undisturbed / "home"))
        assert len(list(home.models.root.glob("*/*.parquet"))) == len(list(undisturbed.glob("home/models/*/*.parquet")))


def test_a_day_that_is_being_trained_is_waited_for(shell: Shell) -> None:
    """It may have found a payload archived and list it later."""
    home = Home(shell.home)
    before = stored(home)
    lock = home.lake.locks / "wallet_models" / f"{EXPIRED[0] - timedelta(days=1)}.lock"
    with exclusive(lock, timeout_seconds=0), pytest.raises(Busy):
        run_gc(shell)
    assert stored(home) == before


def test_a_reader_finds_what_is_kept_while_packs_are_replaced(tmp_path: Path) -> None:
    archive, day = ModelArchive(tmp_path), date(2024, 3, 1)
    ids = [f"{number:064d}" for number in range(4)]
    archive.put(day, [(ids[0], b"first"), (ids[1], b"second")])
    archive.put(day + timedelta(days=1), [(ids[2], b"third"), (ids[3], b"fourth")])
    reader = archive.stream(day, [ids[0], ids[2]])
    found = next(reader)
    for other in archive.days():
        archive.drop(other, {ids[0], ids[2]})
    for part in reader:
        found |= part
    assert found == {ids[0]: b"first", ids[2]: b"third"}
    assert archive.ids(day) == {ids[0], ids[2]}


def test_a_home_without_models_has_nothing_to_drop(shell: Shell) -> None:
    for part in ("lake", "models"):
        shutil.rmtree(shell.home / part)
    assert shell.json("gc", **SMALL) == {
        "first_kept": None,
        "newest": None,
        "dry_run": False,
        "kept": 0,
        "dropped": 0,
        "dropped_bytes": 0,
        "rewritten": 0,
        "removed": 0,
    }


def test_the_command_says_what_it_did(shell: Shell) -> None:
    would = shell.json("gc", "--dry-run", "--keep-days", "14", **SMALL)
    done = shell.run_apart("gc", **SMALL)
    assert done.returncode == 0, done.stderr
    assert "all models are kept from 2024-01-23 to 2024-02-06" in done.stdout
    assert f"{would['dropped']} payloads" in done.stdout
    assert f"{would['kept']} kept" in done.stdout
    assert shell.json("gc", **{**SMALL, "ANOMALY_ARCHIVE__KEEP_DAYS": "0"})["first_kept"] == "2024-02-06"
