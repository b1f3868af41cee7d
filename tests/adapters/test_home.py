"""One home, one source: a home is bound at its first ingest and refuses any other."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from anomaly_assets.adapters.home import HOME_FORMAT_VERSION, Home, Standing
from anomaly_assets.domain.errors import CorruptFile, HomeMismatch, NeedsRelease
from anomaly_assets.domain.identity import JsonObject, canonical_json

SOURCE: JsonObject = {"kind": "synthetic", "seed": 7, "wallets": 200}
FIRST = date(2024, 1, 1)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_opening_a_home_creates_nothing(home: Home) -> None:
    assert home.record() is None
    assert home.lake.days("raw_transactions") == []
    assert not home.root.exists()


def test_a_home_without_ingest_has_no_id(home: Home) -> None:
    with pytest.raises(HomeMismatch, match=r"is not a home yet\n.*ingest a day first"):
        _ = home.home_id


def test_the_first_claim_binds_source_and_first_day(home: Home) -> None:
    home.claim(SOURCE, FIRST)
    record = home.record()
    assert record is not None
    assert (record["source"], record["first_day"]) == (SOURCE, "2024-01-01")
    assert record["home_id"] == home.home_id
    assert len(home.home_id) == 16


def test_claiming_again_changes_no_byte(home: Home) -> None:
    home.claim(SOURCE, FIRST)
    before = (home.root / "home.json").stat().st_ino, (home.root / "home.json").read_bytes()
    home.claim(dict(reversed([*SOURCE.items()])), FIRST)
    assert ((home.root / "home.json").stat().st_ino, (home.root / "home.json").read_bytes()) == before


def test_a_new_home_records_who_judges_and_keeps_it(home: Home) -> None:
    replace(home, detectors=["statistical"]).claim(SOURCE, FIRST)
    before = (home.root / "home.json").read_bytes()
    replace(home, detectors=["statistical", "isolation_forest"]).claim(SOURCE, FIRST)
    assert (home.root / "home.json").read_bytes() == before
    assert json.loads(before)["detectors"] == ["statistical"]


@pytest.mark.parametrize("listed", [[], "statistical", [3], None])
def test_a_list_of_detectors_that_is_none_is_damage(home: Home, listed: object) -> None:
    home.claim(SOURCE, FIRST)
    path = home.root / "home.json"
    path.write_bytes(canonical_json({**json.loads(path.read_bytes()), "detectors": listed}))
    with pytest.raises(CorruptFile, match="detectors is"):
        home.record()


@pytest.mark.parametrize(
    ("source", "first_day"),
    [({**SOURCE, "seed": 8}, FIRST), ({**SOURCE, "extra": None}, FIRST), ({}, FIRST), (SOURCE, date(2024, 1, 2))],
)
def test_another_source_or_first_day_is_refused_and_told_where_to_go(
    home: Home, source: JsonObject, first_day: date
) -> None:
    home.claim(SOURCE, FIRST)
    before = (home.root / "home.json").read_bytes()
    with pytest.raises(HomeMismatch, match="--home") as refused:
        home.claim(source, first_day)
    assert ("2024-01-01" in str(refused.value), "2024-01-02" in str(refused.value)) == (first_day != FIRST,) * 2
    assert "wallets" not in str(refused.value) or source == {}, "it does not differ"
    assert ("seed 7" in str(refused.value)) is (source.get("seed") == 8)
    assert (home.root / "home.json").read_bytes() == before


def test_homes_have_different_ids(tmp_path: Path) -> None:
    homes = [Home(tmp_path / name) for name in "abc"]
    for home in homes:
        home.claim(SOURCE, FIRST)
    assert len({home.home_id for home in homes}) == 3


def test_a_home_that_was_removed_and_made_anew_has_another_id(home: Home) -> None:
    home.claim(SOURCE, FIRST)
    before = home.home_id
    (home.root / "home.json").unlink()
    home.claim(SOURCE, FIRST)
    assert home.home_id != before


CLAIM = """
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from anomaly_assets.adapters.home import Home
sys.stdin.readline()
home = Home(Path(sys.argv[1]))
home.claim({"kind": "synthetic"}, date(2024, 1, 1))
print(home.home_id)
"""


def test_claims_of_many_processes_give_one_home_id(home: Home) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(home.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert answers == {home.home_id}


def test_a_killed_claim_leaves_no_half_home_and_the_next_one_cleans_up(home: Home) -> None:
    code = f"""
import os, signal
from anomaly_assets.adapters import atomic_files
atomic_files.replace_durably = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
{CLAIM}"""
    command = [sys.executable, "-c", code, str(home.root)]
    assert subprocess.run(command, input="go\n", text=True, check=False, timeout=60).returncode == -9
    assert home.record() is None
    home.claim(SOURCE, FIRST)
    assert sorted(path.name for path in home.root.iterdir()) == ["home.json", "locks"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"home"', b"{}", b'{"format": 0}', b'{"format": "1"}', b"\xff", b'{"format": %d}'],
)
def test_a_damaged_record_is_refused_and_never_replaced(home: Home, content: bytes) -> None:
    home.root.mkdir()
    content = content.replace(b"%d", str(HOME_FORMAT_VERSION).encode())
    (home.root / "home.json").write_bytes(content)
    with pytest.raises(CorruptFile, match=r"home\.json"):
        home.record()
    with pytest.raises(CorruptFile):
        home.claim(SOURCE, FIRST)
    with pytest.raises(CorruptFile):
        _ = home.home_id
    assert (home.root / "home.json").read_bytes() == content


def test_a_record_that_lacks_a_key_names_it(home: Home) -> None:
    home.claim(SOURCE, FIRST)
    record = json.loads((home.root / "home.json").read_bytes())
    del record["source_id"]
    (home.root / "home.json").write_text(json.dumps(record))
    with pytest.raises(CorruptFile, match=r"lacks \['source_id'\]"):
        home.claim(SOURCE, FIRST)


def test_runs_with_other_settings_of_earlier_releases_lie_in_lakes_of_their_own(home: Home) -> None:
    one, other = home.trial_lake("a" * 64), home.trial_lake("b" * 64)
    lakes = [home.lake, one, other]
    assert len({lake.root for lake in lakes}) == len({lake.locks for lake in lakes}) == 3
    assert home.trial_lake("a" * 64) == one
    assert home.lakes == [home.lake]
    for lake in (one, other):
        lake.local_folder("wallet_models", date(2024, 2, 9)).mkdir(parents=True)
    assert home.lakes == lakes


def test_published_days_have_the_promised_name(home: Home) -> None:
    assert home.published_path(date(2024, 2, 9)) == home.root / "output" / "labeled_transactions_20240209.parquet"


def test_a_home_of_a_newer_format_is_no_damage_and_is_never_replaced(home: Home) -> None:
    home.root.mkdir()
    content = b'{"format": %d}' % (HOME_FORMAT_VERSION + 1)
    (home.root / "home.json").write_bytes(content)
    for ask in (home.record, lambda: home.claim(SOURCE, FIRST)):
        with pytest.raises(NeedsRelease, match=r"home\.json of the home has format"):
            ask()
    assert (home.root / "home.json").read_bytes() == content


def test_what_a_newer_release_records_of_a_home_stays_in_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", {"lake": "s3://bucket/lake?region=a"})
    home.claim(SOURCE, FIRST)
    path = home.root / "home.json"
    path.write_bytes(canonical_json({**json.loads(path.read_bytes()), "detectors": ["third"]}))
    Home(home.root, {"lake": "s3://bucket/lake?region=b"}).claim(SOURCE, FIRST)
    record = home.record()
    assert record is not None
    assert (record.get("detectors"), record["lake"]) == (["third"], "s3://bucket/lake?region=b")


def files(path: Path) -> JsonObject:
    """Identity of a source of files."""
    return {"kind": "files", "path": str(path), "columns": {}, "time_zone": "UTC"}


def bound(folder: Path, home: str, path: str) -> Home:
    """A home that settings in ``folder`` name, bound to the source that they name."""
    made = Home(folder / home, settings_folder=folder)
    made.claim(files(folder / path), FIRST)
    return made


def moved_to(home: Home, folder: Path, name: str) -> Home:
    """The home, moved to where settings in another folder name it."""
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    home.root.rename(target)
    return Home(target, settings_folder=folder)


@pytest.mark.parametrize(("name", "path"), [("home", "cards.parquet"), ("../home", "../in/cards"), ("a/b", "a/c")])
def test_a_home_that_moved_with_its_files_is_bound_to_them(tmp_path: Path, name: str, path: str) -> None:
    old, new = tmp_path / "old" / "x", tmp_path / "new" / "x"
    home = moved_to(bound(old, name, path), new, name)
    before = (home.root / "home.json").read_bytes()
    home.claim(files(new / path), FIRST)
    home.claim(files(old / path), FIRST)
    assert home.bound_source(files(new / path)) == files(old / path)
    assert (home.root / "home.json").read_bytes() == before


@pytest.mark.parametrize("name", ["../home", "{parent}/home"])
def test_settings_that_were_copied_to_another_project_do_not_bring_its_files_into_the_home(
    tmp_path: Path, name: str
) -> None:
    """They name the same home, and relative to themselves other files by the same name."""
    one, other = tmp_path / "one", tmp_path / "other"
    name = name.format(parent=tmp_path)
    other.mkdir()
    home = bound(one, name, "cards.parquet")
    copied = Home(other / name, settings_folder=other)
    assert copied.home_id == home.home_id
    assert copied.standing(files(other / "cards.parquet"), FIRST) is Standing.ALIKE
    with pytest.raises(HomeMismatch, match="source moved"):
        copied.claim(files(other / "cards.parquet"), FIRST)


@pytest.mark.parametrize(
    ("recorded", "path", "expected"),
    [
        ("/old/data/cards.parquet", "data/cards.parquet", Standing.ALIKE),
        ("data/cards.parquet", "data/cards.parquet", Standing.ALIKE),
        ("/old/mydata/cards.parquet", "data/cards.parquet", Standing.MOVED),
        ("/old/data/cards.parquet", "/elsewhere/data/cards.parquet", Standing.MOVED),
        ("s3://bucket/cards", "cards", Standing.MOVED),
        ("/old/cards", "s3://bucket/cards", Standing.MOVED),
    ],
)
def test_of_a_home_that_recorded_a_whole_path_its_end_says_whether_to_compare(
    tmp_path: Path, recorded: str, path: str, expected: Standing
) -> None:
    home = Home(tmp_path / "home", settings_folder=tmp_path)
    source = {**files(tmp_path), "path": recorded}
    Home(home.root).claim(source, FIRST)
    now = path if "://" in path else str(tmp_path / path)
    assert home.standing({**source, "path": now}, FIRST) is expected
    assert home.standing({**source, "path": now}, date(2024, 1, 2)) is Standing.OTHER
    assert home.standing({**source, "path": now, "time_zone": "Europe/Paris"}, FIRST) is Standing.OTHER


def test_a_move_is_an_entry_of_the_log_and_the_identity_stays(tmp_path: Path) -> None:
    home, at = bound(tmp_path, "home", "cards"), datetime(2024, 2, 1, tzinfo=UTC)
    first = home.record()
    for place in ("/b/cards", "/c/cards", "/b/cards", str(tmp_path / "cards")):
        for _ in range(2):
            home.move_source(files(Path(place)), days=[FIRST], run_id="run", at=at)
        home.claim(files(Path(place)), FIRST)
    moves = [(entry["kind"], entry["to"]["path"]) for entry in home.log.entries()]
    assert moves == [("move", place) for place in ("/b/cards", "/c/cards", "/b/cards", str(tmp_path / "cards"))]
    assert home.record() == first, "it is back where it was"
    with pytest.raises(HomeMismatch, match=r"bound to path '.*', time_zone 'UTC'\n"):
        home.move_source({**files(Path("/b/cards")), "time_zone": "CET"}, days=[], run_id="run", at=at)
