"""What a user sees and can do on Dagster's pages. Every test leaves pictures of what it saw."""

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from anomaly_assets.assets.metadata import PREVIEW_ROWS, flag_table
from anomaly_assets.jobs import DETECT
from browser.conftest import Shoot
from browser.dagster_ui import SCORED, TO_SCORE, RunningUi
from browser.docs_pictures import PICTURES, take
from browser.hostile_flags import HOSTILE, flags, given_to_the_command
from browser.pages import (
    BACKFILL_MILLISECONDS,
    GROUPS,
    LINEAGE,
    TOAST,
    entry,
    go,
    launch_backfill,
    open_day,
    opened,
    see_it_done,
    visible,
)

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

DAY = SCORED[1].isoformat()
PLOTS = {
    "raw_transactions": "distributions",
    "training_window": "distributions",
    "wallet_models": "distributions",
    "scored_transactions": "distributions",
    "anomaly_metrics": "flags by wallet size",
}
"""Every asset in order, and the metadata that holds its picture."""
SHOWN = {
    "raw_transactions": ("rows in", "kept", "quarantined", "duplicate", "ledger", "quarantine"),
    "training_window": ("window", "missing days", "transactions", "eligible: statistical", "manifest days"),
    "wallet_models": ("models", "fitted now", "reused", "store", "window manifest"),
    "scored_transactions": ("rows", "judged", "coverage", "flagged by statistical", "flagged", "top flags"),
    "anomaly_metrics": ("n_rows", "n_judged", "n_flagged", "coverage", "rate"),
}
PROVENANCE = ("dagster/partition_row_count", "revision", "seal", "written", "publication log head", "files")
CHECKS = {
    "raw_transactions": ("schema", "unique_transaction_ids", "ledger_balances"),
    "training_window": (
        "window_complete",
        "no_look_ahead",
        "statistical_eligibility",
        "isolation_forest_eligibility",
    ),
    "wallet_models": ("every_eligible_wallet_has_a_model", "published_models_match"),
    "scored_transactions": (
        "every_transaction_judged_once",
        "unified_flag_is_the_or",
        "coverage_within_bounds",
        "anomaly_rate_within_bounds",
        "scores_follow_from_current_days",
        "sampled_flags_verify",
    ),
}
NOT_OF_EVERY_DAY = "sampled_flags_verify"
"""Runs of detect_anomalies leave it out; backfills that Dagster's pages start evaluate every check of an asset."""
BY_THE_CLOCK = {"raw_transactions": 0, "scored_transactions": 1}
"""Assets with due_day_is_there, which a sensor reports that waits for a real source. It is evaluated so often here,
by the pages' own backfill of scores.
"""
FIGURES = {
    "raw_transactions": ("rows in", "kept", "quarantined", "duplicate", "wallets"),
    "training_window": ("transactions", "wallets", "eligible: statistical", "eligible: isolation_forest"),
    "wallet_models": ("models", "models: isolation_forest", "fitted now", "reused", "payload bytes"),
    "scored_transactions": ("coverage", "judged", "flagged", "flag rate", "flagged by statistical"),
    "anomaly_metrics": ("n_rows", "n_flagged", "coverage", "rate"),
}
"""What is plotted over the days."""
STEPS = {
    "raw_transactions": "steps/ingest.py",
    "training_window": "steps/window.py",
    "wallet_models": "steps/train.py",
    "scored_transactions": "steps/score.py",
    "anomaly_metrics": "steps/measure.py",
}
SNAPSHOT = Path(__file__).parents[1] / "graph" / "graph_snapshot.json"
DASHBOARD = "http://127.0.0.1:8501"
"""Where links lead when nothing else is configured; nothing listens there in these tests."""


@pytest.fixture(scope="module", autouse=True)
def backfill(context: BrowserContext, ui: RunningUi, shoot: Shoot) -> str:
    """The page of a backfill of two days, launched by clicking, before anything else: it takes a minute or more."""
    page = context.new_page()
    address = launch_backfill(
        page, ui.url, DETECT, TO_SCORE[0], TO_SCORE[-1], chosen=lambda page: shoot(page, "backfill_1_chosen")
    )
    page.close()
    return address


@pytest.fixture(scope="module")
def dashboard(context: BrowserContext) -> str:
    """The address of a dashboard that answers every page alike, to whoever comes from Dagster's."""
    context.route(f"{DASHBOARD}/**", lambda route: route.fulfill(body="the dashboard"))
    return DASHBOARD


@pytest.mark.parametrize("path", ["/asset-groups", "/jobs", "/overview", "/deployment"])
def test_a_first_visit_meets_no_dialog_and_no_alarm(ui: RunningUi, page: Page, path: str) -> None:
    page.goto(f"{ui.url}{path}")
    expect(page.get_by_text("Lineage", exact=True).first).to_be_visible()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_text("Join the Dagster community")).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(TOAST)).to_have_count(0)


@pytest.mark.parametrize("asset", PLOTS)
def test_a_day_of_an_asset_shows_figures_rows_and_a_picture(
    ui: RunningUi, page: Page, shoot: Shoot, asset: str
) -> None:
    open_day(page, ui.url, asset, DAY)
    for name in (*SHOWN[asset], *PROVENANCE):
        expect(entry(page, name)).to_be_visible()
    page.set_viewport_size({"width": 1500, "height": 1600})
    shoot(page, f"{asset}_day")
    page.set_viewport_size({"width": 1500, "height": 950})
    with opened(page, "preview") as dialog:
        expect(dialog.locator("th").first).to_be_visible()
        assert dialog.locator("tbody tr").count() >= 3
        assert "|" not in dialog.inner_text(), "a table that is not rendered as one"
        require_it_fits(dialog)
        shoot(page, f"{asset}_preview")
    with opened(page, PLOTS[asset]) as dialog:
        picture = dialog.locator("img")
        expect(picture).to_be_visible()
        assert (picture.get_attribute("src") or "").startswith("data:image/png;base64,")
        assert picture.evaluate("async image => { await image.decode(); return image.naturalWidth }") > 400
        shoot(page, f"{asset}_plot")


def test_the_top_flags_of_a_day_are_a_table_with_the_command_that_traces_each(
    ui: RunningUi, page: Page, shoot: Shoot
) -> None:
    open_day(page, ui.url, "scored_transactions", DAY)
    with opened(page, "top flags") as dialog:
        expect(dialog.locator("tbody tr").first).to_be_visible()
        assert dialog.locator("th").all_inner_texts() == ["score", "UTC", "wallet", "amount", "reason", "trace it"]
        rows = [row.locator("td").all_inner_texts() for row in dialog.locator("tbody tr").all()]
        assert len(rows) >= 2
        for score, time, wallet, amount, reason, command in rows:
            assert re.fullmatch(r"0\.\d{3} \d\d:\d\d:\d\d W\d+ [\d,.]+", " ".join((score, time, wallet, amount)))
            assert reason.startswith(f"amount {amount} ")
            assert re.fullmatch(r"anomaly-assets trace \w+", command)
        require_it_fits(dialog)
        shoot(page, "scored_transactions_top_flags")


def test_command_and_links_of_any_id_arrive_on_the_page_as_shell_and_dashboard_need_them(
    ui: RunningUi, page: Page, shoot: Shoot, dashboard: str
) -> None:
    day = "2024-03-02"  # ingested and not scored: its page is free for flags that no source would deliver
    for begin in range(0, len(HOSTILE), PREVIEW_ROWS):
        tx_ids = HOSTILE[begin : begin + PREVIEW_ROWS]
        report(ui, day, {"top flags": flag_table(flags(*tx_ids), dashboard=dashboard), "revision": "invented"})
        open_day(page, ui.url, "scored_transactions", day)
        with opened(page, "top flags") as dialog:
            expect(dialog.locator("tbody tr")).to_have_count(len(tx_ids))
            commands = dialog.locator("tbody tr td:last-child").all_inner_texts()
            assert [given_to_the_command(command) for command in commands] == [["trace", tx_id] for tx_id in tx_ids]
            assert dialog.locator("tbody tr").first.locator("td").count() == dialog.locator("th").count()
            links = [link.get_attribute("href") or "" for link in dialog.get_by_role("link").all()]
            assert [arguments_of(link, "flag")["tx"] for link in links[::2]] == [[tx_id] for tx_id in tx_ids]
            assert all(arguments_of(link, "wallet")["wallet"] == ["W1"] for link in links[1::2])
            require_it_fits(dialog)
            shoot(page, f"hostile_flags_{begin}")
    entry(page, "top flags").get_by_text("[Show Markdown]").click()
    page.get_by_role("dialog").get_by_role("link").first.click()
    page.wait_for_url(f"{dashboard}/**")
    assert arguments_of(page.url, "flag") == {"tx": [tx_ids[0]], "day": ["2024-03-05"]}


def arguments_of(link: str, page: str) -> dict[str, list[str]]:
    """What a page of the dashboard is given by a link that must lead to it."""
    address = urlsplit(link)
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{DASHBOARD}/"
    arguments = parse_qs(address.query)
    assert arguments.pop("page") == [page]
    return arguments


@pytest.mark.parametrize(
    ("asset", "entry_name", "arrives_at"),
    [
        ("scored_transactions", "dashboard: overview", f"/?page=overview&from={DAY}&to={DAY}"),
        ("wallet_models", "dashboard: operations", "/?page=operations"),
    ],
)
def test_a_click_leads_to_the_dashboard(
    ui: RunningUi, page: Page, dashboard: str, asset: str, entry_name: str, arrives_at: str
) -> None:
    open_day(page, ui.url, asset, DAY)
    with page.expect_popup() as popup:
        entry(page, entry_name).get_by_role("link").first.click()
    popup.value.wait_for_load_state()
    assert popup.value.url == f"{dashboard}{arrives_at}"


def report(ui: RunningUi, day: str, metadata: Mapping[str, Any]) -> None:
    """A materialization of scored_transactions with this metadata, as of no run."""
    with dg.DagsterInstance.from_config(str(ui.log.parent / "home" / "dagster")) as instance:
        event = dg.AssetMaterialization("scored_transactions", partition=day, metadata=metadata)
        instance.report_runless_asset_event(event)


def require_it_fits(dialog: Locator) -> None:
    """Fails when a table is wider than the dialog has room for."""
    table = dialog.locator("table")
    assert table.evaluate("table => table.getBoundingClientRect().width <= table.parentElement.clientWidth + 1")


@pytest.mark.parametrize(("asset", "neighbour"), list(pairwise([*PLOTS, next(iter(PLOTS))])))
def test_a_click_leads_to_the_same_day_of_a_neighbour(ui: RunningUi, page: Page, asset: str, neighbour: str) -> None:
    open_day(page, ui.url, asset, DAY)
    with page.expect_popup() as popup:
        entry(page, f"same day: {neighbour}").get_by_role("link").first.click()
    arrived = popup.value
    assert arrived.url == f"{ui.url}/assets/{neighbour}?view=partitions&partition={DAY}"
    expect(arrived.get_by_text("Materialized", exact=True)).to_be_visible()
    expect(entry(arrived, "revision")).to_be_visible()


@pytest.mark.parametrize("asset", STEPS)
def test_the_page_of_an_asset_teaches_what_it_is_leads_to_its_code_and_plots_its_figures_over_time(
    ui: RunningUi, page: Page, shoot: Shoot, asset: str
) -> None:
    go(page, ui.url, f"/assets/{asset}", f"Assets | {asset}")
    expect(page.get_by_text("One row is", exact=True)).to_be_visible()
    tags = json.loads(SNAPSHOT.read_text())["assets"][asset]["tags"]
    for text in ("anomaly-detection", f"one_row_is: {tags['one_row_is']}", f"stage: {tags['stage']}"):
        expect(page.get_by_text(text, exact=True).first).to_be_visible()
    for file in (f"{asset}.py", STEPS[asset]):
        link = page.get_by_role("link", name=file)
        expect(link).to_be_visible()
        assert f"{file}:" in (link.get_attribute("href") or ""), "an editor opens it at a line"
    shoot(page, f"{asset}_overview")
    page.set_viewport_size({"width": 1500, "height": 3600})
    page.get_by_role("button", name="Plots").click()
    page.get_by_role("button", name="Events").click()
    for name in (*FIGURES[asset], "seconds", "bytes"):
        expect(page.get_by_text(name, exact=True).last).to_be_visible()  # the plots come after the columns
    assert page.locator("canvas").count() >= len(FIGURES[asset]) + 2
    shoot(page, f"{asset}_plots")


@pytest.mark.parametrize("asset", CHECKS)
def test_checks_passed_and_keep_their_result_for_each_day(ui: RunningUi, page: Page, shoot: Shoot, asset: str) -> None:
    go(page, ui.url, f"/assets/{asset}?view=checks&checkDetail={CHECKS[asset][0]}", f"Assets | {asset}")
    expect(page.get_by_text(f"Checks ({len(CHECKS[asset]) + (asset in BY_THE_CLOCK)})")).to_be_visible()
    n_succeeded = len(CHECKS[asset]) + BY_THE_CLOCK.get(asset, 0)  # once the backfill is done
    expect(page.get_by_text("Succeeded", exact=True)).to_have_count(n_succeeded, timeout=BACKFILL_MILLISECONDS)
    expect(page.get_by_text("This is a blocking asset check.")).to_be_visible()
    for heading in ("Why:", "When it fails:"):
        expect(page.get_by_text(heading, exact=True)).to_be_visible()
    shoot(page, f"{asset}_checks")
    for check in (name for name in CHECKS[asset] if name != NOT_OF_EVERY_DAY):
        page.get_by_title(check, exact=True).click()
        expect(page.get_by_role("img", name="asset_check").locator("xpath=following-sibling::span")).to_have_text(check)
        page.locator("button#partitions").click()
        page.get_by_placeholder("Filter by partition").fill(DAY)
        expect(page.get_by_text("Passed (1)")).to_be_visible()
        visible(page.get_by_text(DAY, exact=True)).first.click()
        expect(page.get_by_text("Passed", exact=True)).to_be_visible()
        expect(page.get_by_text("Target materialization")).to_be_visible()
        shoot(page, f"{asset}_check_{check}")


def test_jobs_say_what_they_are_for(ui: RunningUi, page: Page, shoot: Shoot) -> None:
    go(page, ui.url, "/jobs", "Jobs")
    for job in ("ingest_transactions", "detect_anomalies", "nightly", "compare_settings"):
        expect(page.get_by_role("link", name=job)).to_be_visible()
    shoot(page, "jobs")
    page.get_by_role("link", name="detect_anomalies").click()
    expect(page.get_by_text("Train on the window before each chosen day and score the day")).to_be_visible()
    shoot(page, "job_detect_anomalies")


def test_schedule_and_sensors_wait_for_a_real_source(ui: RunningUi, page: Page, shoot: Shoot) -> None:
    go(page, ui.url, "/automation", "Automation")
    for kind, name in (
        ("schedules", "nightly"),
        ("sensors", "late_arrivals_sensor"),
        ("sensors", "run_failure_alert"),
        ("sensors", "freshness"),
    ):
        row = page.locator(f"a[href$='/{kind}/{name}']").locator("xpath=..")
        expect(row).to_be_visible()
        expect(row.locator("input[type=checkbox]").last).not_to_be_checked()
    expect(page.get_by_text("Scheduled At 02:00 AM UTC")).to_be_visible()
    shoot(page, "automation")


def test_raw_transactions_say_which_button_to_press(ui: RunningUi, page: Page, shoot: Shoot) -> None:
    go(page, ui.url, "/assets/raw_transactions", "Assets | raw_transactions")
    expect(page.get_by_text("Which button to press.")).to_be_visible()
    expect(page.get_by_text("together with its downstream")).to_be_visible()
    for column in ("tx_id", "wallet_id", "tx_completed_at", "total_amount", "org_name"):
        expect(page.get_by_role("cell", name=column, exact=True).first).to_be_visible()
    expect(page.get_by_text("anomaly-detection", exact=True)).to_be_visible()
    shoot(page, "raw_transactions_button")


def test_the_lineage_page_shows_five_assets_in_two_groups(ui: RunningUi, page: Page, shoot: Shoot) -> None:
    """Read after the other pages: a check that only the pages' own backfill evaluates is told when that has run."""
    page.goto(f"{ui.url}/asset-groups")
    graph = page.locator("svg")
    for group in GROUPS:
        expect(visible(graph.get_by_text(group, exact=True))).to_have_count(1)
    shoot(page, "lineage_groups")
    page.set_viewport_size({"width": 2300, "height": 950})
    page.goto(f"{ui.url}{LINEAGE}")
    for name in (*GROUPS, *PLOTS):
        label = visible(graph.get_by_text(name, exact=True))
        expect(label).to_have_count(1)
        expect(label).to_be_in_viewport(ratio=1)
        box = label.bounding_box()
        assert box is not None
        assert box["height"] >= 10, f"{name} is too small to read"
    for asset, checks in CHECKS.items():
        node = page.locator("foreignObject").filter(has=visible(page.get_by_text(asset, exact=True)))
        passed, of = len(checks) + BY_THE_CLOCK.get(asset, 0), len(checks) + (asset in BY_THE_CLOCK)
        expect(node.get_by_text(f"{passed} / {of} Passed")).to_be_visible(timeout=BACKFILL_MILLISECONDS)
    shoot(page, "lineage")


def test_a_backfill_by_clicks_makes_one_run_for_each_chosen_day(
    ui: RunningUi, page: Page, shoot: Shoot, backfill: str
) -> None:
    see_it_done(page, backfill, DETECT, len(TO_SCORE))
    shoot(page, "backfill_2_done")
    page.get_by_role("tab", name="Runs").click()
    for day in TO_SCORE:
        expect(page.get_by_text(f"partition: {day}")).to_have_count(1)
    expect(page.get_by_text("Success", exact=True)).to_have_count(len(TO_SCORE))
    shoot(page, "backfill_3_runs")
    for asset in ("training_window", "wallet_models", "scored_transactions", "anomaly_metrics"):
        open_day(page, ui.url, asset, TO_SCORE[-1].isoformat())
    shoot(page, "backfill_4_materialized")


def test_the_pictures_of_the_docs_are_taken_from_these_pages(ui: RunningUi, page: Page, tmp_path: Path) -> None:
    take(page, ui.url, DAY, tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(PICTURES)
