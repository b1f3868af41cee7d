"""The dashboard in a real browser, over sixty scored days: every screen, links, exports, a reviewer's whole way."""

import csv
import io
import tempfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import pyarrow.parquet as pq
import pytest
from compat.make_home import Maker, days_from
from playwright.sync_api import BrowserContext, Download, Page, expect
from short_folders import short_base

from anomaly_assets.adapters.home import Home
from anomaly_assets.dashboard.wallet_over_time import FIRST_DAYS
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.reporting import top_flags
from anomaly_assets.resources.source import source_resource
from anomaly_assets.settings import load_settings
from anomaly_assets.views import wallet as views
from anomaly_assets.views.of_wallet import WalletReader
from browser.conftest import Complaints, Shoot
from browser.dagster_ui import stop_store
from browser.dashboard import choose_row, errors_shown, ready, running_dashboard, whole
from browser.dashboard_pictures import PERIOD_SCREENS
from browser.pages import VIEWPORT, browsing

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("dashboard"), pytest.mark.timeout(900)]
SETTINGS = """
home: home
first_day: 2024-01-01
window: {days: 40}
source:
  synthetic: {wallets: 50, transactions_per_day: 160, anomalies_per_day: 4, dirt: 0.01}
statistical: {min_transactions: 15}
isolation_forest: {min_transactions: 60, n_estimators: 10}
redis: {embedded_max_memory_mb: 256}
"""
FIRST, LAST = date(2024, 2, 1), date(2024, 3, 31)
CUT_OFF = "each => [each, ...each.querySelectorAll('*')].some(part => part.scrollWidth > part.clientWidth)"
"""Whether an element holds more than it shows."""


class Looked(NamedTuple):
    """A running dashboard and what it looks at."""

    url: str
    home: Home
    config: Path

    def strongest(self) -> dict[str, object]:
        """The flag that stands out most."""
        return top_flags(self.home, DayRange(FIRST, LAST + timedelta(days=1)), 1)[0]


@pytest.fixture(scope="module")
def looked(chromium: str) -> Iterator[Looked]:
    """Sixty scored days with the dashboard over them."""
    with tempfile.TemporaryDirectory(prefix="aad-", dir=short_base()) as name:
        folder = Path(name)
        config = folder / "anomaly.yaml"
        config.write_text(SETTINGS, encoding="utf-8")
        settings = load_settings(config, environ={})
        # without Dagster, of which the dashboard knows nothing: its records of 150 runs take longer than the days
        maker = Maker(folder, settings, source_resource(settings).open())
        scored = days_from(FIRST, (LAST - FIRST).days + 1)
        try:
            maker.ingest(*days_from(settings.first_day, (LAST - settings.first_day).days + 1))
            maker.detect(*scored)
            with running_dashboard(config, folder) as url:
                yield Looked(url, Home(settings.home), config)
        finally:
            stop_store(config)


@pytest.fixture(scope="module")
def context(chromium: str, looked: Looked) -> Iterator[BrowserContext]:
    """One browser for all tests here, started when the home is ready."""
    with browsing(chromium) as context:
        yield context


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """The page of the test before, in its usual size; it must not complain and must not ask another host."""
    complaints = Complaints(context)
    page = next(iter(context.pages), None) or context.new_page()
    page.set_viewport_size(VIEWPORT)
    page.emulate_media(color_scheme="light")
    yield page
    assert complaints.found == []


@pytest.mark.parametrize("name", PERIOD_SCREENS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screen_about_all_sixty_days_is_drawn_without_an_error(
    page: Page, looked: Looked, shoot: Shoot, name: str, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"{looked.url}/?page={name}&from={FIRST}&to={LAST}")
    ready(page, PERIOD_SCREENS[name])
    whole(page)
    shoot(page, f"dashboard_{name}_{scheme}")
    assert errors_shown(page) == []
    assert f"from={FIRST}" in page.url
    assert f"to={LAST}" in page.url


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1920, 1080)])
def test_the_first_thing_in_sight_is_the_newest_flags_with_their_reasons(
    page: Page, looked: Looked, shoot: Shoot, width: int, height: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.goto(looked.url)
    ready(page, "Overview")
    shoot(page, f"dashboard_overview_{width}")
    flag = top_flags(looked.home, DayRange(LAST, LAST + timedelta(days=1)), 1)[0]
    link = page.get_by_role("link", name=str(flag["TX_ID"])[:17])
    reason = page.get_by_test_id("stMain").get_by_text(str(flag["reason"])).first
    for part in (link, reason):
        box = part.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= height
        assert box["x"] + box["width"] <= width
    assert not link.locator("p").evaluate(CUT_OFF), "the id is told in full"
    link.click()
    ready(page, "One transaction")
    expect(page.get_by_text("Flagged: amount")).to_be_visible()


def test_a_page_that_is_not_there_is_said_so_and_the_overview_is_shown(
    page: Page, looked: Looked, context: BrowserContext
) -> None:
    """Of a path Streamlit says so, over the overview, and complains to the browser; of the parameter we do."""
    assert context.browser
    with context.browser.new_context() as apart:
        path = apart.new_page()
        path.goto(f"{looked.url}/nosuch")
        expect(path.get_by_role("dialog")).to_contain_text("Page not found")
        expect(path.get_by_role("heading", name="Overview", exact=True)).to_be_visible()
    page.goto(f"{looked.url}/?page=nosuch")
    ready(page, "Overview")
    expect(page.get_by_text("There is no page 'nosuch'. Shown is Overview")).to_be_visible()


def test_a_reviewer_goes_from_the_overview_to_the_proof_of_a_flag_by_clicking(
    page: Page, looked: Looked, shoot: Shoot
) -> None:
    page.goto(looked.url)
    ready(page, "Overview")
    choose_row(page.get_by_test_id("stDataFrame").last, 0)
    ready(page, "One transaction")
    expect(page.get_by_text("Flagged: amount")).to_be_visible()
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("proven on")).to_be_visible()
    for grade in ("intact", "re-scored", "re-trained"):
        expect(page.get_by_text(f"{grade}: proven")).to_be_visible()
    whole(page)
    shoot(page, "dashboard_flag_proven")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as one HTML file").click()
    assert "re-trained" in _content(saved.value).decode()
    assert errors_shown(page) == []


def test_an_address_with_a_transaction_leads_to_it_and_from_there_to_its_wallet(
    page: Page, looked: Looked, shoot: Shoot
) -> None:
    flag = looked.strongest()
    page.goto(f"{looked.url}/?tx={flag['TX_ID']}")
    ready(page, "One transaction")
    expect(page.get_by_text("Flagged: amount")).to_be_visible()
    whole(page)
    shoot(page, "dashboard_flag")
    page.get_by_role("link", name=f"Wallet {flag['WALLET_ID']}").click()
    ready(page, "Wallet explorer")
    expect(page.get_by_role("heading", name=str(flag["WALLET_ID"]))).to_be_visible()
    whole(page)
    shoot(page, "dashboard_wallet")
    assert errors_shown(page) == []


def test_an_address_with_a_wallet_and_a_day_shows_the_models_of_that_day(page: Page, looked: Looked) -> None:
    page.goto(f"{looked.url}/?wallet=W000001&day=2024-03-20")
    ready(page, "Wallet explorer")
    expect(page.get_by_role("combobox", name="Day whose models are shown")).to_have_value("2024-03-20")
    expect(page.get_by_role("heading", name="In Redis now")).to_be_visible()


def test_of_sixty_days_every_band_is_drawn_at_last_and_a_chosen_tab_stays(page: Page, looked: Looked) -> None:
    wallet = str(looked.strongest()["WALLET_ID"])
    listed = views.models(WalletReader(looked.home), wallet, looked.home.lake.days(SCORED))
    kept = views.payloads(looked.home, listed).keys()
    days = {each.day for each in listed} - {each.day for each in listed if each.model_id not in kept}
    assert len(days) > FIRST_DAYS
    page.goto(f"{looked.url}/?wallet={wallet}&from={FIRST}&to={LAST}")
    ready(page, "Wallet explorer")
    chart = page.locator(".js-plotly-plot").first
    expect(chart).to_be_visible()
    whole(page)
    drawn = chart.evaluate("chart => Array.from(chart.data[0].x, x => String(x).slice(0, 10))")
    assert set(drawn) == {str(day) for day in days}
    tab = page.get_by_role("tab", name="isolation forest")
    tab.click()
    expect(tab).to_have_attribute("aria-selected", "true")
    for _ in range(3):
        page.keyboard.press("r")
        whole(page)
        expect(tab).to_have_attribute("aria-selected", "true")
    assert errors_shown(page) == []


def test_what_is_exported_reads_back_as_the_published_flags(page: Page, looked: Looked) -> None:
    moment = looked.strongest()["TX_COMPLETED_AT"]
    assert isinstance(moment, datetime)
    day = moment.date()
    page.goto(f"{looked.url}/?page=overview&from={day}&to={day}")
    ready(page, "Overview")
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").last.click()
    rows = list(csv.DictReader(io.StringIO(_content(saved.value).decode())))
    with page.expect_download() as saved:
        page.get_by_role("button", name="Parquet").last.click()
    table = pq.read_table(io.BytesIO(_content(saved.value)))
    published = pq.read_table(looked.home.published_path(day), partitioning=None)
    expected = sorted(row["TX_ID"] for row in published.to_pylist() if row["is_anomaly"])
    assert expected, "the day has flags"
    assert sorted(row["TX_ID"] for row in rows) == expected
    assert sorted(table.column("TX_ID").to_pylist()) == expected


def test_a_table_offers_no_export_that_a_spreadsheet_would_compute(page: Page, looked: Looked) -> None:
    page.goto(f"{looked.url}/?page=overview")
    ready(page, "Overview")
    page.get_by_test_id("stDataFrame").last.hover()
    expect(page.get_by_role("button", name="Search").last).to_be_visible()
    expect(page.get_by_role("button", name="Download as CSV")).to_have_count(0)


def test_key_figures_are_told_in_full_in_a_narrow_window(page: Page, looked: Looked) -> None:
    page.set_viewport_size({"width": 800, "height": 900})
    wallet = looked.strongest()["WALLET_ID"]
    for name, address in {"Overview": "page=overview", "Wallet explorer": f"wallet={wallet}"}.items():
        page.goto(f"{looked.url}/?{address}&from={FIRST}&to={LAST}")
        ready(page, name)
        figures = page.get_by_test_id("stMetricValue").all()
        assert len(figures) >= 5
        assert [figure.inner_text() for figure in figures if figure.evaluate(CUT_OFF)] == []


def test_an_unknown_transaction_is_told_as_such_with_what_to_do(page: Page, looked: Looked) -> None:
    page.goto(f"{looked.url}/?tx=no-such-id")
    ready(page, "One transaction")
    expect(page.get_by_text("What to do:")).to_be_visible()
    assert errors_shown(page) == []


HOSTILE = (
    "<b>x</b>![i](https://elsewhere.example/i.png) :red[y] $z$ `c`",
    "https://evil.example/login www.evil.example a@evil.example -> <- -- =>",
)


@pytest.mark.parametrize("wallet", HOSTILE)
def test_an_id_full_of_marks_is_shown_as_text_and_is_no_link(page: Page, looked: Looked, wallet: str) -> None:
    page.goto(f"{looked.url}/?{urlencode({'wallet': wallet})}")
    ready(page, "Wallet explorer")
    heading = page.get_by_role("heading", level=2).first
    assert heading.inner_text().replace("\u200b", "") == wallet
    main = page.get_by_test_id("stMain")
    assert main.locator("img").count() == 0
    assert [link.get_attribute("href") for link in main.locator("a[href*='evil'], a[href*='elsewhere']").all()] == []


def _content(download: Download) -> bytes:
    return Path(download.path()).read_bytes()
