"""`source check`: what a source holds and what would be refused, before anything is stored."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Shell

HEADER = "tx_id,wallet_id,tx_completed_at,total_amount,org_name,label"
GOOD = [f"t{day}-{n},w{n},2024-03-{day:02d}T0{n}:00:00+01:00,{n}.5,Acme,0" for day in (1, 2, 3) for n in range(1, 5)]
BAD = [
    "b1,w1,2024-03-03T10:00:00,-1,,0",
    "b2,w1,soon,1,,0",
    ",w1,2024-03-03T10:00:00,1,,0",
    "b4,w1,2024-03-03T10:00:00,1,,0",
    "b4,w1,2024-03-03T10:00:00,1,,0",
]


def files(shell: Shell, lines: list[str], header: str = HEADER, **settings: Any) -> None:
    """Settings of a CSV file with these lines."""
    (shell.folder / "x.csv").write_text("\n".join([header, *lines, ""]))
    source = {"kind": "files", "files": {"path": "x.csv", **settings}}
    (shell.folder / "anomaly.yaml").write_text(json.dumps({"first_day": "2024-03-01", "source": source}))


def checked(shell: Shell, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = shell.run("source", "check", "--json", *arguments)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


def test_a_sound_source_is_shown_and_nothing_is_stored(shell: Shell) -> None:
    """Columns, coverage, sample, counts of the last days, zones; exit code 0."""
    files(shell, GOOD)
    before = sorted(shell.folder.rglob("*"))
    code, report = checked(shell, "--days", "2")
    assert (code, report["problems"], report["refused"]) == (0, [], {})
    assert report["others"] == {"label": "text"}
    assert [column["found"] for column in report["wanted"]] == ["text"] * 5
    assert report["coverage"] == ["2024-03-01", "2024-03-03"]
    assert [(day["day"], day["counted"], day["kept"]) for day in report["days"]] == [
        ("2024-03-01", 4, 4), ("2024-03-02", 4, 4), ("2024-03-03", 4, 4),
    ]  # fmt: skip
    assert report["zones"] == {"declared": "UTC", "with_zone": 12, "without_zone": 0}
    assert report["sample"][0]["tx_id"] == "t3-1"
    assert sorted(shell.folder.rglob("*")) == before


def test_what_would_be_refused_is_counted_with_an_example_of_each_reason(shell: Shell) -> None:
    """Rows without a time too, which belong to no day."""
    files(shell, GOOD + BAD)
    code, report = checked(shell, "--days", "1")
    assert code == 0
    assert report["refused"] == {"invalid_time": 1, "missing_tx_id": 1, "negative_amount": 1}
    assert report["examples"]["negative_amount"]["total_amount"] == "-1"
    assert report["examples"]["invalid_time"]["tx_completed_at"] == "soon"
    assert report["days"][-1]["duplicates"] == 1
    assert report["zones"]["without_zone"] == 5


def test_people_are_shown_the_same(shell: Shell) -> None:
    files(shell, GOOD + BAD, time_zone="Europe/Berlin")
    done = shell.run_apart("source", "check", COLUMNS="200")
    assert done.returncode == 0
    for told in (
        "negative_amount (1)",
        "t3-1",
        "not used: label (text)",
        "taken in Europe/Berlin",
        "2024-03-03",
        "can be used",
    ):
        assert told in done.stdout
    assert not shell.home.exists()


def test_a_missing_column_is_named_with_the_nearest_and_all_that_were_found(shell: Shell) -> None:
    """Exit code 1; the columns are shown although no row could be read."""
    files(shell, GOOD, HEADER.replace("wallet_id", "Wallet"))
    code, report = checked(shell)
    assert code == 1
    (missing,) = [column for column in report["wanted"] if column["found"] is None]
    assert (missing["name"], missing["nearest"]) == ("wallet_id", "Wallet")
    assert "wallet_id is missing (the nearest is Wallet)" in report["problems"][0]
    shown = shell.run("source", "check")
    assert (shown.returncode, "the nearest is Wallet" in shown.stdout) == (1, True)


@pytest.mark.parametrize(
    ("lines", "settings", "told"),
    [
        ([line.replace("2024-03", "2024-04") for line in GOOD], {}, "set first_day: 2024-04-01"),
        ([line.replace(".5,", ".5 EUR,") for line in GOOD], {}, "would refuse all 12 rows"),
        (["t1,w1,1709251200,1,,0"], {}, "source.files.epoch_unit"),
        (GOOD, {"delimiter": ";"}, "tx_id is missing"),
        (["t1,w1,2999-01-01,1,,0"], {}, "set first_day: 2999-01-01"),
        ([], {}, "has a readable time"),
    ],
)
def test_a_source_that_cannot_be_used_says_why(
    shell: Shell, lines: list[str], settings: dict[str, Any], told: str
) -> None:
    files(shell, lines, **settings)
    code, report = checked(shell)
    assert code == 1
    assert any(told in problem for problem in report["problems"])


def test_a_source_that_is_not_there_says_so(shell: Shell) -> None:
    files(shell, GOOD)
    (shell.folder / "x.csv").unlink()
    done = shell.run("source", "check")
    assert (done.returncode, "there is nothing at" in done.stdout) == (1, True)


def test_every_source_can_be_checked(shell: Shell) -> None:
    """The synthetic one says nothing of columns it does not deliver, and has no last day."""
    code, report = checked(shell, "--days", "2")
    assert (code, report["problems"], report["coverage"]) == (0, [], ["2024-01-01", None])
    assert {column["name"]: column["found"] for column in report["wanted"]}["total_amount"] == "double"
    assert len(report["days"]) == 3
    assert not shell.home.exists()


def test_data_files_are_put_in_order_outside_of_the_home(shell: Shell, tmp_path: Path) -> None:
    files(shell, GOOD)
    code, _ = checked(shell, "--home", str(tmp_path / "home"))
    assert code == 0
    assert list(tmp_path.rglob("*")) == []
