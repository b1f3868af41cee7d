"""One transaction as one file: every kind of row has a page, with its evidence, its proof and how to prove it again."""

import base64
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.conftest import Shell
from evidence.conftest import DAYS, EVIDENCE

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.erasure_request import ErasureRequest
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import METRICS, RAW, SCORED
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.deviations_picture import deviations_picture
from anomaly_assets.evidence.explain import explain
from anomaly_assets.evidence.gc import collect
from anomaly_assets.evidence.proof import Outcome
from anomaly_assets.evidence.trace import trace, trace_or_why_not
from anomaly_assets.evidence.traced import Trace, TracedDay
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.reports.flag_report import flag_page
from anomaly_assets.settings import load_settings
from anomaly_assets.steps.erase import erase_wallet
from anomaly_assets.steps.run import Run
from reports.parsed import Parsed, harmless

DAY = DAYS[-1]
AT = datetime(2024, 2, 1, 8, 30, tzinfo=UTC)


def a_row(home: Home, **wanted: Any) -> dict[str, Any]:
    """A published row with these values."""
    rows: Iterator[dict[str, Any]] = iter(Case.of(home, DAY).published.to_pylist())
    return next(row for row in rows if all(row[key] == value for key, value in wanted.items()))


def drawn(home: Home, tx_id: str, *, proved: bool = True) -> str:
    proof = Verifier(home).verify(DAY, [tx_id]) if proved else None
    explanation = explain(Case.of(home, DAY), tx_id)
    return flag_page(trace(home, tx_id), explanation, proof, dagster_address="http://dagster.example", written_at=AT)


def traced(home: Home, tx_id: str) -> TracedDay:
    """The only day that holds it, which is scored."""
    (day,) = trace(home, tx_id).days
    assert isinstance(day, TracedDay)
    return day


def tones(page: Parsed) -> list[str]:
    return [
        (each["class"] or "").removeprefix("badge ") for each in page.of("span") if "badge" in (each["class"] or "")
    ]


def test_the_page_of_a_flag_shows_the_verdict_and_everything_behind_it(untouched: Home) -> None:
    row = a_row(untouched, statistical_anomaly=True)
    page = harmless(drawn(untouched, row["TX_ID"]))
    found = traced(untouched, row["TX_ID"])
    explanation = explain(Case.of(untouched, DAY), row["TX_ID"])
    for expected in (
        f"{row['TOTAL_AMOUNT']:,.2f} at",
        "was flagged by statistical",
        row["reason"],
        f"{explanation.nearest_amount:,.2f} at this hour",
        found.revision,
        found.window.manifest_id,
        *([found.window.wallet.rows_digest] if found.window.wallet else []),
        found.settings.settings_id,
        "Nothing changed",
        "proof: proven",
        "Written by anomaly-assets at 2024-02-01 08:30 UTC",
        *(each.model.model_id for each in found.detectors if each.model),
        *(each.model.recipe_id for each in found.detectors if each.model),
        *(file.sha256 for file in found.files.sealed.values()),
        *(run.run_id for run in found.runs.values() if run),
        *(run.log_entry for run in found.runs.values() if run),
    ):
        assert expected in page.text
    links = [each["href"] for each in page.of("a")]
    for run in found.runs.values():
        assert run is not None
        assert f"http://dagster.example{run.run_page}" in links
        assert f"http://dagster.example{run.partition_page}" in links


def test_both_pictures_are_in_the_page_and_say_what_they_show(untouched: Home) -> None:
    row = a_row(untouched, isolation_forest_anomaly=True)
    found = explain(Case.of(untouched, DAY), row["TX_ID"])
    images = harmless(drawn(untouched, row["TX_ID"], proved=False)).of("img")
    decoded = [base64.b64decode((each["src"] or "").partition(",")[2]) for each in images]
    assert deviations_picture(found, found.detectors[0]) in decoded
    assert len(decoded) == 2
    assert all(each["alt"] for each in images)


def test_equal_arguments_give_equal_bytes(untouched: Home) -> None:
    tx_id = a_row(untouched, is_anomaly=True)["TX_ID"]
    assert drawn(untouched, tx_id) == drawn(untouched, tx_id)
    without = flag_page(trace(untouched, tx_id), None, None)
    assert "Written by anomaly-assets." in without
    assert 'href="http' not in without


def test_every_link_of_the_proof_is_in_the_page_with_its_outcome(untouched: Home) -> None:
    tx_id = a_row(untouched, is_anomaly=True)["TX_ID"]
    proof = Verifier(untouched).verify(DAY, [tx_id])
    page = harmless(drawn(untouched, tx_id))
    assert proof.outcome is Outcome.PROVEN
    assert tones(page).count("good") >= len(proof.links)
    for link in proof.links:
        assert f"{link.grade.value} {link.name} proven" in page.text


def test_the_commands_of_the_page_prove_it_again(untouched: Home, proved: Path) -> None:
    """Run as they stand, in the folder of the home: the proof holds the log's entry of these scores."""
    tx_id = a_row(untouched, is_anomaly=True)["TX_ID"]
    text = drawn(untouched, tx_id)
    commands = [part.partition("</code>")[0] for part in text.split("<pre><code>")[1:]]
    run = traced(untouched, tx_id).runs["scored"]
    assert run is not None
    assert commands[0] == f"anomaly-assets verify --day {DAY} --head {run.log_entry} {tx_id}"
    for command in commands:
        if command.startswith("anomaly-assets"):
            done = Shell(proved).run_apart(*shlex.split(command)[1:], **EVIDENCE)
            assert done.returncode == 0, done.stderr
    assert commands[-1] == f"sha256sum labeled_transactions_{DAY:%Y%m%d}.parquet"


def test_scores_that_are_not_current_any_more_are_proved_in_their_revision(untouched: Home) -> None:
    tx_id = a_row(untouched, is_anomaly=True)["TX_ID"]
    found = traced(untouched, tx_id)
    older = replace(found, since=replace(found.since, newer=(SCORED,)))
    page = harmless(flag_page(Trace(tx_id, [older]), None, None))
    assert f"anomaly-assets verify --day {DAY} --revision {found.revision} --head" in page.text
    assert f"anomaly-assets trace --day {DAY} --revision {found.revision} {tx_id}" in page.text
    assert "another scored_transactions of this day is current" in page.text


def test_a_row_that_was_not_flagged_says_how_far_it_could_go(untouched: Home) -> None:
    row = a_row(untouched, is_anomaly=False, isolation_forest_status="judged")
    page = harmless(drawn(untouched, row["TX_ID"]))
    assert "was not flagged" in page.text
    assert "It would not have been flagged at this hour with an amount of" in page.text
    assert tones(page)[0] == "good"


def test_a_row_that_nobody_judged_says_why_and_is_not_called_normal(untouched: Home) -> None:
    row = a_row(untouched, anomaly_score=None)
    page = harmless(drawn(untouched, row["TX_ID"]))
    assert "which does not make it normal" in page.text
    assert "transaction in the training window" in page.text or "transactions in the training window" in page.text
    assert (tones(page)[0], page.of("img")) == ("doubtful", [])


def test_a_row_that_only_one_detector_judged_has_its_page(untouched: Home) -> None:
    row = a_row(untouched, statistical_status="judged", isolation_forest_status="insufficient_history")
    page = harmless(drawn(untouched, row["TX_ID"]))
    assert "insufficient history" in page.text
    assert len(page.of("img")) == 2


def test_a_model_whose_payload_is_gone_is_told_and_still_explained_and_proved(home: Home) -> None:
    collect(home, keep_days=-1, timeout_seconds=5)  # no day keeps models that flagged nothing
    quiet = (
        row["TX_ID"]
        for row in Case.of(home, DAY).published.to_pylist()
        if row["isolation_forest_status"] == "judged" and not home.models.get(DAY, [row["isolation_forest_model_id"]])
    )
    page = harmless(drawn(home, next(quiet)))
    assert "not kept any more: proving it fits it again" in page.text
    assert len(page.of("img")) == 2
    assert "proof: proven" in page.text


def test_an_erased_transaction_has_a_page_that_says_so(home: Home) -> None:
    row = a_row(home, is_anomaly=True)
    settings = load_settings(environ=EVIDENCE, overrides={"home": home.root})
    run = Run(home, "erasure", lambda: AT, lambda _: None, 5)
    store = StoreProvider.from_settings(settings.redis)
    try:
        request = ErasureRequest("a clerk", "a contract ended", "T-1")
        erase_wallet(run, store, row["WALLET_ID"], OURS, request=request)
    finally:
        store.embedded(home).stop()
    proof = Verifier(home).verify(DAY, [row["TX_ID"]])
    drawn = flag_page(trace_or_why_not(home, row["TX_ID"]), None, proof)
    page = harmless(drawn)
    assert "was erased with its wallet" in page.text
    assert "proof: erased" in page.text
    assert row["WALLET_ID"] not in drawn


def test_a_mismatch_is_shown_in_red_with_its_link(home: Home) -> None:
    tx_id = a_row(home, is_anomaly=True)["TX_ID"]
    seal = home.lake.require(METRICS, DAY)
    home.lake.path_of(seal, "metrics").write_bytes(b"damaged")
    proof = Verifier(home).verify(DAY, [tx_id])
    page = harmless(drawn(home, tx_id))
    assert proof.broken is not None
    assert proof.broken.name == "anomaly_metrics"
    assert "proof: mismatch" in page.text
    assert "bad" in [each.get("class") for each in page.of("p")]
    assert "intact, anomaly_metrics: mismatch" in page.text
    assert proof.broken.detail.splitlines()[0] in page.text


def test_what_cannot_be_explained_has_a_page_of_its_proof(home: Home, shell: Shell) -> None:
    """The scores themselves are damaged: the command fails as it did, and the page says what is broken."""
    tx_id = a_row(home, is_anomaly=True)["TX_ID"]
    home.lake.path_of(home.lake.require(SCORED, DAY), "scored").write_bytes(b"damaged")
    arguments = ("explain", tx_id, "--home", str(home.root), "--day", str(DAY), "--html", "flag.html")
    done = shell.run(*arguments, "--verify", **EVIDENCE)
    assert done.returncode == 70
    page = harmless((shell.folder / "flag.html").read_text())
    assert "proof: mismatch" in page.text
    assert "scored_transactions" in page.text


def test_a_transaction_that_is_not_scored_and_one_on_two_days_are_told(home: Home) -> None:
    raw = home.lake.read(home.lake.require(RAW, DAYS[0].replace(day=9)), "transactions", ["tx_id"])
    tx_id = raw.column("tx_id")[0].as_py()
    found = trace(home, tx_id)
    page = harmless(flag_page(found, None, None))
    assert "not scored" in page.text
    assert "run detect_anomalies for 2024-01-09" in page.text
    flag = a_row(home, is_anomaly=True)["TX_ID"]
    days = [*trace(home, flag).days, *found.days]
    both = harmless(flag_page(Trace(flag, days), explain(Case.of(home, DAY), flag), None))
    assert "Other days that hold this id" in both.text
    assert "was flagged by" in both.text


def test_the_command_writes_the_page_and_its_exit_code_is_that_of_the_proof(home: Home, shell: Shell) -> None:
    tx_id = a_row(home, is_anomaly=True)["TX_ID"]
    arguments = ("explain", tx_id, "--home", str(home.root), "--html", "flag.html")
    plain = shell.run(*arguments, **EVIDENCE)
    assert (plain.returncode, "page: flag.html" in plain.stderr) == (0, True)
    assert "not proved for this page" in harmless((shell.folder / "flag.html").read_text()).text
    found = shell.json(*arguments, "--verify", **EVIDENCE)
    assert found["proof"]["outcome"] == "proven"
    assert "proof: proven" in harmless((shell.folder / "flag.html").read_text()).text
    home.lake.path_of(home.lake.require(METRICS, DAY), "metrics").write_bytes(b"damaged")
    broken = shell.run(*arguments, "--verify", **EVIDENCE)
    assert (broken.returncode, "proof: mismatch" in broken.stdout) == (1, True)
    refused = shell.run("explain", tx_id, "--home", str(home.root), "--verify")
    assert refused.returncode == 64
    assert "--html" in refused.stderr


def test_a_page_is_not_written_for_an_id_that_nobody_holds(home: Home, shell: Shell) -> None:
    done = shell.run("explain", "no-such-id", "--home", str(home.root), "--html", "flag.html", **EVIDENCE)
    assert done.returncode == 2
    assert not (shell.folder / "flag.html").exists()
