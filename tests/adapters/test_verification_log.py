"""The record of verifications: appended to, read whatever was torn, and never in the way of what is proved."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.verification_log import Verification, Who, log_path, read_log, record, verifications
from anomaly_assets.evidence.proof import Grade, Link, Outcome, Proof
from anomaly_assets.release import RELEASE

AT = datetime(2024, 7, 2, 2, 0, 5, tzinfo=UTC)
DAY = date(2024, 7, 1)
GENESIS = "0" * 64


def proof(outcome: Outcome = Outcome.PROVEN, tx_ids: list[str] | None = None, day: date = DAY) -> Proof:
    links = [Link(grade, "a link", outcome) for grade in Grade]
    return Proof(day, tx_ids, links, examined=set(Grade))


ENTRIES = st.builds(
    Verification,
    at=st.datetimes(timezones=st.just(UTC)),
    day=st.dates(),
    transactions=st.none() | st.integers(0, 2**40),
    outcome=st.sampled_from([outcome.value for outcome in Outcome]),
    head=st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
    who=st.sampled_from(["nightly", "command", "dashboard"]),
)


def test_what_was_verified_is_read_back_in_order(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert verifications(home) == []
    proofs = [proof(tx_ids=["a", "b"]), proof(Outcome.MISMATCH, tx_ids=["c"]), proof(Outcome.MISSING)]
    assert record(home, proofs, who="nightly", at=AT) is None
    later = AT + timedelta(hours=1)
    assert record(home, [proof(Outcome.ERASED, ["d"], DAY + timedelta(days=1))], who="command", at=later) is None
    assert verifications(home) == [
        Verification(AT, DAY, 2, "proven", GENESIS, "nightly", RELEASE),
        Verification(AT, DAY, 1, "mismatch", GENESIS, "nightly", RELEASE),
        Verification(AT, DAY, None, "missing", GENESIS, "nightly", RELEASE),
        Verification(later, DAY + timedelta(days=1), 1, "erased", GENESIS, "command", RELEASE),
    ]


def test_nothing_proved_writes_nothing(tmp_path: Path) -> None:
    assert record(Home(tmp_path), [], who="command", at=AT) is None
    assert not log_path(Home(tmp_path)).exists()


def test_no_id_of_a_transaction_stands_in_it(tmp_path: Path) -> None:
    record(Home(tmp_path), [proof(tx_ids=["transaction-4711"])], who="dashboard", at=AT)
    assert b"4711" not in log_path(Home(tmp_path)).read_bytes()


def test_a_publication_log_that_cannot_be_read_has_no_head(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.log.path.write_bytes(b"damaged\n")
    record(home, [proof(Outcome.MISMATCH)], who="command", at=AT)
    assert [entry.head for entry in verifications(home)] == [None]


@pytest.mark.parametrize("who", ["nightly", "command", "dashboard"])
def test_a_home_that_cannot_be_written_is_told_and_no_error(tmp_path: Path, who: Who) -> None:
    """Here there is none; and where the log would be, there is a folder."""
    told = record(Home(tmp_path / "absent"), [proof()], who=who, at=AT)
    assert told is not None
    assert "not recorded" in told
    assert not (tmp_path / "absent").exists()
    log_path(Home(tmp_path)).mkdir()
    assert "not recorded" in (record(Home(tmp_path), [proof()], who=who, at=AT) or "")


@settings(deadline=None)
@given(before=st.lists(ENTRIES, max_size=4), torn=ENTRIES, cut=st.integers(0), after=st.lists(ENTRIES, max_size=2))
def test_a_torn_line_costs_itself_alone(
    before: list[Verification], torn: Verification, cut: int, after: list[Verification]
) -> None:
    """A writer was killed anywhere inside its line; others went on behind it."""
    with TemporaryDirectory() as folder:
        home, line = Home(Path(folder)), torn.to_line()
        part = line[: cut % len(line)]
        log_path(home).write_bytes(b"".join(entry.to_line() for entry in before) + part)
        assert verifications(home) == before
        whole = [torn] if part == line[:-1] else []  # only its newline was lost, which the next writer adds
        for entry in after:
            tx_ids = None if entry.transactions is None else ["x"]
            who: Who = "nightly"
            assert record(home, [proof(tx_ids=tx_ids, day=entry.day)], who=who, at=entry.at) is None
        found = verifications(home)
        assert found[: len(before)] == before
        kept = found[len(before) :]
        assert [entry.at for entry in kept] == [entry.at for entry in [*(whole if after else []), *after]]


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        log_path(Home(Path(folder))).write_bytes(content)
        assert all(isinstance(entry, Verification) for entry in verifications(Home(Path(folder))))


@settings(deadline=None)
@given(ENTRIES)
def test_an_entry_is_its_line(entry: Verification) -> None:
    assert Verification.from_line(entry.to_line()) == entry


@pytest.mark.parametrize(
    "changed",
    [
        b'"at":"2024-07-02T02:00:05"',  # no zone
        b'"at":5',
        b'"day":"2024-13-01"',
        b'"outcome":null',
        b'"who":5',
        b'"transactions":-1',
        b'"transactions":true',
    ],
)
def test_a_line_that_nobody_wrote_is_left_out(tmp_path: Path, changed: bytes) -> None:
    name = changed.split(b":")[0]
    line = Verification(AT, DAY, 1, "proven", None, "command").to_line()
    fields = [field for field in line.strip(b"{}\n").split(b",") if not field.startswith(name)]
    log_path(Home(tmp_path)).write_bytes(b"{" + b",".join([*fields, changed]) + b"}\n" + line)
    assert len(verifications(Home(tmp_path))) == 1
    assert read_log(Home(tmp_path))[1] == 1  # and it is counted


@pytest.mark.parametrize("changed", [b'"who":"stream"', b'"more":{"of":[1]}', b'"outcome":"doubtful"'])
def test_a_line_that_a_newer_release_wrote_is_read(tmp_path: Path, changed: bytes) -> None:
    """It names somebody who asks only there, an outcome that is known only there, or tells more."""
    name = changed.split(b":")[0]
    line = Verification(AT, DAY, 1, "proven", None, "command", "9.0.0").to_line()
    fields = [field for field in line.strip(b"{}\n").split(b",") if not field.startswith(name)]
    log_path(Home(tmp_path)).write_bytes(b"{" + b",".join([*fields, changed]) + b"}\n")
    found, unreadable = read_log(Home(tmp_path))
    assert ([entry.day for entry in found], unreadable) == ([DAY], 0)
