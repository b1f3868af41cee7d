"""The report of a day says what the published files say, in the terminal, as JSON and as a page."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from cli.conftest import Shell
from evidence.conftest import DAYS, EVIDENCE

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.due_days import Due, Freshness
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.lineage import RAW, SCORED
from anomaly_assets.reports.day_report import day_page
from anomaly_assets.reports.sparks import spark
from anomaly_assets.settings import load_settings
from anomaly_assets.views import usual
from anomaly_assets.views.day_report import DayReport, day_report, scored_day, usual_words
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.overview import rates
from anomaly_assets.views.selection import Selection
from reports.parsed import harmless

DAY = DAYS[-1]
DETECTION = load_settings(environ=EVIDENCE).detection
DETECTORS = ("statistical", "isolation_forest")
AT = datetime(2024, 2, 1, 8, 30, tzinfo=UTC)


def published(home: Home, day: date = DAY) -> list[dict[str, Any]]:
    """The rows other systems read."""
    rows: list[dict[str, Any]] = pq.read_table(home.published_path(day)).to_pylist()
    return rows


def reported(home: Home, day: date = DAY, *, n_flags: int = 10) -> DayReport:
    return day_report(Digests(home), day, DETECTION, n_flags=n_flags)


def as_read(report: DayReport) -> dict[str, Any]:
    """What a program reads of a report."""
    read: dict[str, Any] = json.loads(json.dumps(report.as_json()))
    return read


def judged(row: dict[str, Any]) -> bool:
    return any(row[f"{name}_status"] == "judged" for name in DETECTORS)


def test_the_counts_are_those_of_the_published_rows(home: Home) -> None:
    rows, found = published(home), as_read(reported(home))
    assert found["transactions"] == len(rows)
    assert found["judged"] == sum(map(judged, rows))
    assert found["flagged"] == sum(row["is_anomaly"] for row in rows)
    assert found["rate"] == found["flagged"] / found["judged"]
    assert found["coverage"] == found["judged"] / len(rows)
    for name in DETECTORS:
        of_detector = {
            "judged": sum(row[f"{name}_status"] == "judged" for row in rows),
            "flagged": sum(row[f"{name}_anomaly"] for row in rows),
        }
        assert found["detectors"][name] == of_detector
        why = Counter(row[f"{name}_status"] for row in rows if row[f"{name}_status"] != "judged")
        told = {each["status"]: each["transactions"] for each in found["not_judged"] if each["detector"] == name}
        assert told == dict(why)


def test_organisations_and_their_days_are_those_of_the_published_rows(home: Home) -> None:
    found = as_read(reported(home))
    of_days = [published(home, day) for day in DAYS]
    assert [each["day"] for each in found["history"]] == [str(day) for day in DAYS]
    assert {each["organisation"] for each in found["organisations"]} == {row["ORG_NAME"] for row in of_days[-1]}
    for each in found["organisations"]:
        rows = [[row for row in rows if row["ORG_NAME"] == each["organisation"]] for rows in of_days]
        counts = [(len(of_day), sum(map(judged, of_day)), sum(row["is_anomaly"] for row in of_day)) for of_day in rows]
        assert (each["n_rows"], each["n_judged"], each["n_flagged"]) == counts[-1]
        assert each["rates"] == [flagged / judged if judged else None for _, judged, flagged in counts]
    flagged = [each["n_flagged"] for each in found["organisations"]]
    assert flagged == sorted(flagged, reverse=True)


def test_the_top_flags_are_the_flagged_rows_with_the_highest_scores(home: Home) -> None:
    flagged = [row for row in published(home) if row["is_anomaly"]]
    best = sorted(flagged, key=lambda row: (-row["anomaly_score"], row["TX_ID"]))
    found = as_read(reported(home, n_flags=3))["flags"]
    assert [each["tx_id"] for each in found] == [row["TX_ID"] for row in best[:3]]
    for each, row in zip(found, best, strict=False):
        assert each["reason"] == row["reason"]
        assert each["flagged_by"] == [name for name in DETECTORS if row[f"{name}_anomaly"]]
        assert each["trace"] == f"anomaly-assets trace {row['TX_ID']}"
    assert len(reported(home, n_flags=1000).flags) == len(flagged)
    assert reported(home, n_flags=0).flags == ()


def test_rates_and_the_usual_band_are_those_of_the_dashboard(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The band of a day is made of the days before it, here of three."""
    monkeypatch.setattr(usual, "FEWEST_DAYS", 3)
    found = reported(home).history.days
    shown = rates(Digests(home), Selection(tuple(DAYS))).to_pylist()
    assert [each.counts.rate for each in found] == [row["rate"] for row in shown]
    assert [each.usual for each in found[:3]] == [None, None, None]
    assert found[3].usual == (shown[3]["usual_low"], shown[3]["usual_high"])
    before = [row["rate"] for row in shown[:3]]
    assert found[3].usual == pytest.approx(tuple(np.quantile(before, [0.1, 0.9])))


def test_with_three_days_before_nothing_is_usual_yet(home: Home) -> None:
    found = reported(home, DAYS[3])
    assert found.today.usual is None
    assert not found.today.is_unusual
    assert as_read(found)["usual_rate"] == as_read(found)["history"][3]["usual_rate"]
    assert as_read(found)["usual_rate"] is not None, "programs are given what they were given before"
    assert "fewer than 4 days before" in usual_words(found)


def test_the_rate_is_told_apart_from_the_usual_one(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usual, "FEWEST_DAYS", 3)
    found = reported(home)
    assert found.today.usual is not None
    low, high = found.today.usual
    rate = found.figures.total.rate or 0.0
    place = "below" if rate < low else "above" if rate > high else "within"
    assert found.today.is_unusual is (place != "within")
    assert usual_words(found).startswith(f"{place} the usual {low:.2%} to {high:.2%}")


def test_checks_runs_and_the_head_are_those_of_the_seals_and_the_log(home: Home) -> None:
    found = reported(home)
    entries = list(home.log.entries())
    assert found.head == entries[-1]["hash"]
    for asset, run in found.runs.items():
        (entry,) = [each for each in entries if (each["asset"], each["day"]) == (asset, str(DAY))]
        assert run is not None
        assert (run.run_id, run.log_entry) == (entry["run_id"], entry["hash"])
    said = {(asset, verdict.check): verdict.passed for asset, verdict in found.checks}
    for asset in (RAW, SCORED):
        for check, verdict in home.lake.require(asset, DAY).checks.items():
            assert said[asset, check] == verdict["passed"]
    assert (found.stale, found.problems) == ((), ())


def test_what_became_stale_is_told(home: Home) -> None:
    other = load_settings(environ={**EVIDENCE, "ANOMALY_STATISTICAL__ZSCORE_THRESHOLD": "4"}).detection
    found = day_report(Digests(home), DAY, other, n_flags=3)
    assert "scored_transactions" in {each.asset for each in found.stale}
    assert "made with other settings" in harmless(day_page(found)).text


def test_a_damaged_day_before_is_left_out_and_named(home: Home) -> None:
    seal = home.lake.require(SCORED, DAYS[1])
    home.lake.path_of(seal, "scored").write_bytes(b"damaged")
    found = reported(home)
    assert [each.day for each in found.history.days] == [DAYS[0], *DAYS[2:]]
    assert str(DAYS[1]) in found.problems[0]
    assert str(DAYS[1]) in harmless(day_page(found)).text


def test_a_damaged_link_or_log_is_told_and_the_day_is_shown(home: Home) -> None:
    whole = reported(home)
    (home.lake.local_folder(RAW, DAY) / "seals" / f"{home.lake.require(RAW, DAY).revision}.json").write_bytes(b"x")
    content = home.log.path.read_bytes()
    home.log.path.write_bytes(content[:-2].replace(b'"run_id":"', b'"run_id":"x'))
    found = reported(home)
    assert found.figures == whole.figures
    assert (found.head, len(found.problems)) == (None, 2)
    assert "cannot be read" in harmless(day_page(found)).text


def test_a_damaged_day_cannot_be_reported(home: Home) -> None:
    home.lake.path_of(home.lake.require(SCORED, DAY), "scored").write_bytes(b"damaged")
    with pytest.raises(CorruptFile, match=str(DAY)):
        reported(home)


def test_the_newest_scored_day_is_meant_unless_one_is_named(home: Home) -> None:
    digests = Digests(home)
    assert scored_day(digests, None) == DAY
    assert scored_day(digests, DAYS[0]) == DAYS[0]
    with pytest.raises(NotSealed, match="2030-01-01 is not scored"):
        scored_day(digests, date(2030, 1, 1))


def test_a_home_without_scores_is_told_so(shell: Shell) -> None:
    done = shell.run("report")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no home" in done.stderr


def test_equal_reports_are_equal_bytes_and_the_page_shows_the_figures(home: Home) -> None:
    found = reported(home)
    drawn = day_page(found, dagster_address="http://dagster.example", written_at=AT)
    assert drawn == day_page(reported(home), dagster_address="http://dagster.example", written_at=AT)
    page = harmless(drawn)
    totals = found.figures.total
    assert f"{totals.n_flagged:,} of {totals.n_judged:,} judged transactions were flagged" in page.text
    assert "Written by anomaly-assets at 2024-02-01 08:30 UTC" in page.text
    for row in found.flags:
        assert row.reason in page.text
        assert f"anomaly-assets trace {row.tx_id}" in page.text
    run = found.runs[SCORED]
    assert run is not None
    assert f"http://dagster.example{run.run_page}" in [each["href"] for each in page.of("a")]
    assert "http://dagster" not in day_page(found)
    assert len(page.of("svg")) == 3 + len(found.organisations)


def test_the_command_prints_the_same_figures_and_writes_the_page(home: Home, shell: Shell) -> None:
    found = reported(home)
    arguments = ("report", "--home", str(home.root))
    done = shell.run_apart(*arguments, "--html", "day.html", **EVIDENCE)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    totals = found.figures.total
    counts = f"any {totals.n_rows:,} {totals.n_judged:,} {totals.coverage:.2%} {totals.n_flagged:,} {totals.rate:.2%}"
    assert counts in told
    assert spark([each.counts.rate for each in found.history.days]) in told
    assert f"top 10 of {totals.n_flagged} flags" in told or totals.n_flagged < 10
    assert f"publication log head: {found.head}" in told
    assert "nothing of it is stale" in told
    assert f"Transactions of {DAY}" in harmless((shell.folder / "day.html").read_text()).text
    answer = shell.json(*arguments, "--day", str(DAYS[0]), **EVIDENCE)
    assert answer.pop("freshness")["newest"] == str(DAY)
    assert answer == as_read(reported(home, DAYS[0]))
    refused = shell.run(*arguments, "--day", "2030-01-01", **EVIDENCE)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "2030-01-01 is not scored" in refused.stderr


COMPLETE_UNTIL = "ANOMALY_SOURCE__COMPLETE_UNTIL"


def test_a_day_that_is_due_and_missing_is_told_by_the_clock_of_the_command(home: Home, shell: Shell) -> None:
    """In the terminal, as JSON and on the page, whichever day is reported."""
    due = DAY + timedelta(days=2)
    arguments = ("report", "--home", str(home.root), "--day", str(DAYS[0]))
    environment = {**EVIDENCE, COMPLETE_UNTIL: str(due)}
    told = shell.run_apart(*arguments, "--html", "day.html", **environment).stdout
    late = f"scored up to {DAY}; 2 days behind {due}: the data is complete until {due}"
    assert late in " ".join(told.split())
    assert f"  anomaly-assets backfill --from {DAY + timedelta(days=1)} --to {due}" in told.splitlines()
    page = harmless((shell.folder / "day.html").read_text()).text
    assert "day missing" in page
    assert f"UTC; {late.split('; ')[1]}." in page
    assert shell.json(*arguments, **environment)["freshness"] == {
        "newest": str(DAY),
        "due": str(due),
        "because": f"the data is complete until {due}",
        "days_behind": 2,
    }


def test_the_due_day_that_is_there_and_no_due_day_are_told_apart(home: Home, shell: Shell) -> None:
    arguments = ("report", "--home", str(home.root))
    there = shell.run(*arguments, **EVIDENCE, **{COMPLETE_UNTIL: str(DAY)})
    assert f"scored up to {DAY}; {DAY} was due, and is there" in there.stdout
    assert "backfill" not in there.stdout
    none = shell.run(*arguments, **EVIDENCE)  # of an invented source
    assert f"scored up to {DAY}; no day is due: no schedule brings days" in none.stdout
    found = shell.json(*arguments, **EVIDENCE)["freshness"]
    assert (found["due"], found["days_behind"]) == (None, None)


def test_a_page_keeps_the_moment_of_which_it_told_how_new_the_scores_are(home: Home) -> None:
    behind = Freshness(DAY, Due(DAY + timedelta(days=1), "a night"), DAYS[0])
    drawn = harmless(day_page(reported(home), scores=behind, written_at=AT)).text
    assert f"Scored up to {DAY} at 2024-02-01 08:30 UTC; 1 day behind {DAY + timedelta(days=1)}: a night." in drawn
