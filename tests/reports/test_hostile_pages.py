"""Hostile ids, wallets and organisations break neither a page nor a terminal."""

import io
import subprocess
from dataclasses import replace

import pytest
from cli.conftest import SMALL, Shell
from rich.console import Console

from anomaly_assets.adapters.home import Home
from anomaly_assets.commands.report import _parts
from anomaly_assets.domain.due_days import Due, Freshness
from anomaly_assets.domain.verdicts import Severity, Verdict
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.explain import explain
from anomaly_assets.evidence.proof import Grade, Link, Outcome, Proof
from anomaly_assets.evidence.trace import trace
from anomaly_assets.evidence.traced import Trace
from anomaly_assets.reports.day_report import day_page
from anomaly_assets.reports.flag_report import flag_page
from anomaly_assets.reports.page import POLICY, el, link, page
from anomaly_assets.settings import load_settings
from anomaly_assets.views.day_history import Organisation
from anomaly_assets.views.day_report import DayReport, day_report
from anomaly_assets.views.digests import Digests
from reports.conftest import HOSTILE_DAY, UNSEEN, VISIBLE
from reports.parsed import harmless

pytestmark = pytest.mark.xdist_group("reports")  # one worker makes the hostile home

HOSTILE = [*VISIBLE, *UNSEEN]


def report_of(hostile: Shell) -> DayReport:
    detection = load_settings(environ=SMALL, overrides={"home": hostile.home}).detection
    return day_report(Digests(Home(hostile.home)), HOSTILE_DAY, detection, n_flags=1000)


def unseen(found: DayReport) -> DayReport:
    """The report as if files held what the border refuses, wherever text comes from outside."""
    row = found.flags[0]
    flags = [replace(row, tx_id=text, wallet_id=text, org_name=text, reason=text) for text in HOSTILE]
    organisation = found.organisations[0]
    history = replace(
        found.history,
        organisations=tuple(Organisation(text, organisation.counts, organisation.rates) for text in HOSTILE),
    )
    checks = tuple(("scored_transactions", Verdict("check", False, text, Severity.WARN)) for text in HOSTILE)
    run = found.runs["scored_transactions"]
    assert run is not None
    runs = {"scored_transactions": replace(run, run_id=UNSEEN[1])}
    return replace(found, flags=tuple(flags), history=history, checks=checks, runs=runs, problems=tuple(HOSTILE))


def printed(found: DayReport, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), highlight=False)
    for part in _parts(found, Freshness(found.day, Due(None, "no schedule brings days"), found.day)):
        console.print(part, soft_wrap=True)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_every_flag_of_a_hostile_day_is_on_its_page_as_text_and_nothing_else(hostile: Shell) -> None:
    found = harmless(day_page(report_of(hostile), dagster_address="http://127.0.0.1:3000"))
    for text in VISIBLE:
        assert " ".join(text.split()) in found.text
    assert found.of("meta")[1]["content"] == POLICY


def test_what_the_border_would_refuse_cannot_break_a_page_or_a_terminal_either(hostile: Shell) -> None:
    found = unseen(report_of(hostile))
    shown = harmless(day_page(found)).text
    told = printed(found)
    assert all(char.isprintable() or char == "\n" for char in told)
    for text in ("line\\nbreak", "\\x1b[31mred", "\\u202eevil", "zero\\u200bwidth", "nul\\x00"):
        assert text in shown
        assert text in told.replace("\n", "")


def test_the_terminal_shows_hostile_text_as_it_is_and_the_command_traces_it(hostile: Shell) -> None:
    done = hostile.run("report", "--flags", "1000", COLUMNS="80", **SMALL)
    assert done.returncode == 0, done.stderr
    assert all(char.isprintable() or char == "\n" for char in done.stdout)
    together = "".join(line.strip() for line in done.stdout.splitlines())
    for text in VISIBLE:
        assert text.replace(" ", "") in together.replace(" ", "")
    lines = [line for line in done.stdout.splitlines() if "anomaly-assets trace" in line]
    assert len(lines) >= len(VISIBLE)
    script = "anomaly-assets() { printf '%s\\0' \"$@\"; }\n" + "\n".join(lines)
    given = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout.decode().split("\0")
    assert set(VISIBLE) <= set(given)


def test_tables_of_the_terminal_are_no_wider_than_eighty_columns(hostile: Shell) -> None:
    """Only what is to be copied in one piece is longer."""
    text = hostile.at_terminal("report", **SMALL)
    copied = ("anomaly-assets trace", "publication log head")
    assert "publication log head" in text
    assert [line for line in text.splitlines() if len(line) > 80 and not line.strip().startswith(copied)] == []


@pytest.mark.parametrize("tx_id", VISIBLE)
def test_a_hostile_transaction_has_a_page_that_shows_it_as_text(hostile: Shell, tx_id: str) -> None:
    home = Home(hostile.home)
    explanation = explain(Case.of(home, HOSTILE_DAY), tx_id)
    drawn = flag_page(trace(home, tx_id), explanation, None, dagster_address="http://127.0.0.1:3000")
    found = harmless(drawn)
    assert " ".join(f"Transaction {tx_id}".split()) in found.text
    assert len(found.of("img")) >= 2


@pytest.mark.parametrize("text", HOSTILE)
def test_a_page_of_nothing_but_hostile_text_is_harmless(text: str) -> None:
    link_of_it = Link(Grade.INTACT, text, Outcome.MISMATCH, f"{text}\nExpected: {text}")
    proof = Proof(HOSTILE_DAY, [text], links=[link_of_it], notes=[text])
    harmless(flag_page(Trace(text, (), text), None, proof, dagster_address=text))
    harmless(page(text, el("p", text, class_=text, title_=None)))


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//x.example", "http://[", "JAVASCRIPT:x", " javascript:x"]
)
def test_only_web_addresses_become_links(address: str) -> None:
    assert link(address, "text") == "<span>text</span>"
    assert "href" in link("https://dagster.example/runs/1?a=1&b=2", "text")


def test_an_error_that_names_hostile_text_is_no_way_into_the_terminal(hostile: Shell) -> None:
    done = hostile.run("explain", "\x1b[31mred", **SMALL)
    assert done.returncode == 2
    assert "\x1b" not in done.stdout + done.stderr
