"""A pipeline that stopped years ago, in a real browser: whoever lands on its pages is told at once."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from compat.make_home import Maker
from graph.invented import DAY, FIRST, WINDOW_DAYS, days_from, deliver_ordinary
from playwright.sync_api import Page, expect
from short_folders import short_base

from anomaly_assets.resources.source import source_resource
from anomaly_assets.settings import load_settings
from browser.conftest import Complaints, Shoot
from browser.dagster_ui import stop_store
from browser.dashboard import errors_shown, ready, running_dashboard
from browser.pages import VIEWPORT, browsing

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
SETTINGS = f"""
home: home
first_day: {FIRST}
window: {{days: {WINDOW_DAYS}}}
source: {{kind: files, files: {{path: files}}}}
statistical: {{min_transactions: 6}}
isolation_forest: {{min_transactions: 30, n_estimators: 8, max_samples: 64}}
redis: {{embedded_max_memory_mb: 64}}
"""


@pytest.fixture
def stopped() -> Iterator[str]:
    """The address of a dashboard over a home whose newest day is DAY, of 2024, and whose schedule goes on."""
    with tempfile.TemporaryDirectory(prefix="aas-", dir=short_base()) as name:
        folder = Path(name)
        config = folder / "anomaly.yaml"
        config.write_text(SETTINGS, encoding="utf-8")
        days = days_from(FIRST, WINDOW_DAYS + 1)
        deliver_ordinary(folder / "files", days)
        settings = load_settings(config, environ={})
        maker = Maker(folder, settings, source_resource(settings).open())
        try:
            maker.ingest(*days)
            maker.detect(DAY)
            with running_dashboard(config, folder) as url:
                yield url
        finally:
            stop_store(config)


def test_every_screen_of_a_pipeline_that_stopped_years_ago_says_so_first(
    chromium: str, stopped: str, shoot: Shoot
) -> None:
    with browsing(chromium) as context:
        complaints = Complaints(context)
        page = context.new_page()
        page.set_viewport_size(VIEWPORT)
        for name, heading in (("overview", "Overview"), ("operations", "Operations"), ("wallet", "Wallet explorer")):
            page.goto(f"{stopped}/?page={name}")
            ready(page, heading)
            behind = told(page)
            assert behind >= 731, heading
            assert errors_shown(page) == []
            if heading == "Overview":
                shoot(page, "dashboard_stopped_pipeline")
        assert complaints.found == []


def told(page: Page) -> int:
    """How many days the red line at the top of a screen counts; the screen need not be scrolled to see it."""
    line = page.get_by_role("alert").filter(has_text=f"Scored up to {DAY}")
    expect(line).to_be_in_viewport(ratio=1)
    found = re.search(r"([\d,]+) days behind \d{4}-\d\d-\d\d: the night of .* should have scored it", line.inner_text())
    assert found, line.inner_text()
    expect(page.get_by_text("anomaly-assets backfill --from").first).to_be_in_viewport()
    return int(found[1].replace(",", ""))
