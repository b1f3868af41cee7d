"""The publication log: nothing before its head can be changed unseen, and no crash breaks it."""

import json
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.adapters.publication_log import COMMIT, ERASURE, GENESIS, PublicationLog, chain_hash, kind_of
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.identity import canonical_json
from anomaly_assets.evidence.checked_log import CheckedLog
from anomaly_assets.release import RELEASE

NOW = datetime(2024, 3, 1, 2, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> PublicationLog:
    return PublicationLog(tmp_path / "publication_log.jsonl")


def fill(log: PublicationLog, count: int) -> list[str]:
    """Append ``count`` entries; returns the head after each."""
    return [
        log.append({"asset": "raw", "n": n}, run_id=f"run {n}", at=NOW + timedelta(seconds=n)) for n in range(count)
    ]


def test_an_empty_log_has_the_genesis_head(log: PublicationLog) -> None:
    assert log.head() == GENESIS
    assert list(log.entries()) == []


def test_entries_come_back_in_order_with_run_time_and_sequence(log: PublicationLog) -> None:
    fill(log, 3)
    entries = list(log.entries())
    assert [entry["sequence"] for entry in entries] == [1, 2, 3]
    assert [entry.get("n") for entry in entries] == [0, 1, 2]
    assert entries[1]["run_id"] == "run 1"
    assert entries[1]["at"] == "2024-03-01T02:00:01+00:00"


def test_every_entry_continues_the_one_before_and_the_head_is_the_last(log: PublicationLog) -> None:
    heads = fill(log, 3)
    entries = list(log.entries())
    assert [entry["previous"] for entry in entries] == [GENESIS, *heads[:-1]]
    assert [entry["hash"] for entry in entries] == heads
    assert log.head() == heads[-1]
    assert all(chain_hash(entry) == entry["hash"] for entry in entries)


def test_an_entry_cannot_choose_its_place(log: PublicationLog) -> None:
    log.append({"sequence": 9, "previous": "x", "hash": "y", "run_id": "z"}, run_id="run", at=NOW)
    (entry,) = log.entries()
    assert (entry["sequence"], entry["previous"], entry["run_id"]) == (1, GENESIS, "run")


def test_one_byte_changed_anywhere_is_found_at_its_line(log: PublicationLog) -> None:
    log.append({"text": "tab \t and é"}, run_id="run", at=NOW)
    fill(log, 2)
    content = log.path.read_bytes()
    ends = [place for place, byte in enumerate(content) if byte == ord("\n")]
    for place in range(len(content)):
        line = 1 + sum(end < place for end in ends)
        flip = (0x01, 0x20, 0x80)[place % 3]
        log.path.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
        with pytest.raises(CorruptFile, match=rf"line {line}\b"):
            list(log.entries())


def test_a_changed_last_line_is_not_continued(log: PublicationLog) -> None:
    fill(log, 2)
    content = log.path.read_bytes()
    for place in (-1, -2, -70, content.index(b"\n") + 5):
        log.path.write_bytes(content[:place] + b"#" + (content[place + 1 :] if place != -1 else b""))
        with pytest.raises(CorruptFile, match="last line"):
            log.head()
        with pytest.raises(CorruptFile):
            log.append({}, run_id="run", at=NOW)
        assert log.path.stat().st_size == len(content)


def test_an_entry_that_says_the_same_in_another_spelling_is_refused(log: PublicationLog) -> None:
    log.append({"text": "a\x1fb"}, run_id="run", at=NOW)
    content = log.path.read_bytes()
    for spelling in (
        content.replace(b"001f", b"001F"),
        content.replace(b":", b": "),
        content.replace(b"{", b'{"at":"",'),
    ):
        assert spelling != content
        log.path.write_bytes(spelling)
        with pytest.raises(CorruptFile, match="line 1"):
            list(log.entries())


def test_a_line_removed_doubled_or_swapped_is_found(log: PublicationLog) -> None:
    fill(log, 3)
    first, second, third = log.path.read_bytes().splitlines(keepends=True)
    for lines, bad in (([first, third], 2), ([first, first, second], 2), ([second, first, third], 1), ([second], 1)):
        log.path.write_bytes(b"".join(lines))
        with pytest.raises(CorruptFile, match=rf"line {bad}\b"):
            list(log.entries())


def test_a_rewritten_entry_with_its_own_new_hash_breaks_the_next_line(log: PublicationLog) -> None:
    fill(log, 3)
    lines = log.path.read_bytes().splitlines(keepends=True)
    forged = {**json.loads(lines[1]), "n": 99}
    forged["hash"] = chain_hash(forged)
    log.path.write_bytes(b"".join([lines[0], canonical_json(forged) + b"\n", lines[2]]))
    with pytest.raises(CorruptFile, match="line 3: the chain is broken"):
        list(log.entries())


def test_a_rewritten_end_changes_the_head_that_was_kept_elsewhere(log: PublicationLog) -> None:
    kept = fill(log, 3)[-1]
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:2]))
    log.append({"asset": "raw", "n": 99}, run_id="run", at=NOW)
    assert len(list(log.entries())) == 3
    assert log.head() != kept


@pytest.mark.parametrize("kept_bytes", [1, 40, -2, -1])
def test_a_torn_last_line_is_ignored_and_replaced(log: PublicationLog, kept_bytes: int) -> None:
    heads = fill(log, 3)
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(lines[0] + lines[1] + lines[2][:kept_bytes])
    assert [entry["hash"] for entry in log.entries()] == heads[:2]
    assert log.head() == heads[1]
    log.append({"n": "after"}, run_id="run", at=NOW)
    assert [entry.get("n") for entry in log.entries()] == [0, 1, "after"]


@pytest.mark.parametrize("tail", [b"\0" * 3_000_000, b'{"torn": "' + b"x" * 3_000_000, b"{" * 100_000])
def test_a_torn_tail_of_any_length_is_dropped(log: PublicationLog, tail: bytes) -> None:
    heads = fill(log, 2)
    with log.path.open("ab") as file:
        file.write(tail)
    assert log.head() == heads[-1]
    log.append({"n": "after"}, run_id="run", at=NOW)
    assert [entry["sequence"] for entry in log.entries()] == [1, 2, 3]
    assert log.path.read_bytes().count(b"\n") == 3
    assert log.path.read_bytes().endswith(b"}\n")


def test_a_torn_first_line_leaves_an_empty_log(log: PublicationLog) -> None:
    log.path.write_bytes(b'{"asset": "ra')
    assert log.head() == GENESIS
    log.append({}, run_id="run", at=NOW)
    assert [entry["sequence"] for entry in log.entries()] == [1]


def test_entries_longer_than_a_megabyte_are_chained(log: PublicationLog) -> None:
    for n in range(3):
        log.append({"files": {f"file {k}": "x" * 50 for k in range(30_000)}, "n": n}, run_id="run", at=NOW)
    assert [entry.get("n") for entry in log.entries()] == [0, 1, 2]
    assert log.head() == list(log.entries())[-1]["hash"]


@pytest.mark.parametrize(
    "line", [b"[]\n", b"null\n", b"{}\n", b'{"hash":NaN}\n', b'{"hash":"\\ud800"}\n', b"\n", b"\xff\n"]
)
def test_lines_that_are_no_entries_are_refused(log: PublicationLog, line: bytes) -> None:
    log.path.write_bytes(line)
    with pytest.raises(CorruptFile, match="line 1"):
        list(log.entries())
    with pytest.raises(CorruptFile, match="last line"):
        log.append({}, run_id="run", at=NOW)


APPEND = """
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from anomaly_assets.adapters.publication_log import PublicationLog
log = PublicationLog(Path(sys.argv[1]))
for n in range(int(sys.argv[3])):
    log.append({"writer": sys.argv[2], "n": n}, run_id=sys.argv[2], at=datetime(2024, 1, 1, tzinfo=UTC))
"""


def test_appends_of_many_processes_give_one_unbroken_chain(log: PublicationLog) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", APPEND, str(log.path), str(w), "25"]) for w in range(4)]
    while any(process.poll() is None for process in processes):
        log.head()  # reading beside the writers never meets half an entry
    assert [process.returncode for process in processes] == [0] * 4
    entries = list(log.entries())
    assert [entry["sequence"] for entry in entries] == list(range(1, 101))
    assert all([e.get("n") for e in entries if e.get("writer") == str(w)] == list(range(25)) for w in range(4))


def test_killed_appenders_leave_a_chain_that_goes_on(log: PublicationLog) -> None:
    for delay in range(3):
        grown = (log.path.stat().st_size if log.path.exists() else 0) + 4000
        process = subprocess.Popen([sys.executable, "-c", APPEND, str(log.path), "killed", "100000"])
        while not log.path.exists() or log.path.stat().st_size <= grown:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        log.append({"after": delay}, run_id="run", at=NOW)
    entries = list(log.entries())
    assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry.get("after") for entry in entries if "after" in entry] == [0, 1, 2]


def test_an_entry_that_does_not_fit_on_the_disk_is_not_acknowledged(log: PublicationLog) -> None:
    heads = fill(log, 2)
    size = log.path.stat().st_size
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 100}, {size + 100}))
{APPEND}"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(log.path), "x", "1"], capture_output=True, text=True, check=False
    )
    assert f"File too large: '{log.path}'" in done.stderr
    assert log.path.stat().st_size == size + 100, "the kernel took a part of the line"
    assert [entry["hash"] for entry in log.entries()] == heads
    log.append({"n": "after"}, run_id="run", at=NOW)
    assert [entry.get("n") for entry in log.entries()] == [0, 1, "after"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=9) | st.integers() | st.booleans(), max_size=4)
)
def test_any_json_entry_is_chained_and_comes_back(entry: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = PublicationLog(Path(folder) / "log.jsonl")
        log.append(entry, run_id="run", at=NOW)
        log.append(entry, run_id="run", at=NOW)
        ours = {"sequence", "run_id", "at", "previous", "hash", "kind", "release", "libraries"}
        for found in log.entries():
            assert {key: value for key, value in found.items() if key not in ours} == {
                key: value for key, value in entry.items() if key not in ours
            }


def test_a_line_tells_its_kind_the_release_and_the_libraries_that_it_was_computed_with(tmp_path: Path) -> None:
    log = PublicationLog(tmp_path / "log.jsonl")
    log.append({"asset": "a"}, run_id="run", at=NOW)
    log.append({"kind": ERASURE, "asset": ERASURE}, run_id="run", at=NOW)
    commit, erasure = log.entries()
    assert (kind_of(commit), kind_of(erasure)) == (COMMIT, ERASURE)
    assert commit["release"] == RELEASE
    assert set(commit["libraries"]) == {"numba", "numpy", "scikit-learn"}
    assert [kind_of(each) for each in ({"asset": "wallet_models"}, {"asset": "erasure"}, {"kind": "activation"})] == [
        COMMIT,
        ERASURE,
        "activation",
    ]


def test_a_line_of_another_kind_is_in_the_chain_and_proves_nothing(tmp_path: Path) -> None:
    """A newer release writes what is not known here, without the fields of a commit."""
    log = PublicationLog(tmp_path / "log.jsonl")
    head = log.append({"kind": "activation", "offsets": [1, 2]}, run_id="run", at=NOW)
    checked = CheckedLog(log)
    checked.require(head)
    assert (checked.erased_wallets(), checked.revisions("wallet_models", NOW.date())) == ({}, [])
