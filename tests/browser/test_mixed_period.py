"""A home whose list of detectors changes twice, in a real browser: every page goes by who judged the days it shows."""

import re
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from compat.make_home import Maker
from detectors_beside.installed import PATH, velocity_installed
from graph.invented import BUSY, DAY, FIRST, WINDOW_DAYS, Row, days_from, deliver, extra, moment, ordinary_day
from playwright.sync_api import Page, expect
from short_folders import short_base

from anomaly_assets.dashboard.figures.style import readable
from anomaly_assets.dashboard.screens import screens_of
from anomaly_assets.installed_families import installed_families
from anomaly_assets.resources.source import source_resource
from anomaly_assets.settings import load_settings
from browser.conftest import Complaints, Shoot
from browser.dagster_ui import UNTOUCHED, stop_store
from browser.dashboard import drawn, errors_shown, ready, running_dashboard
from browser.pages import browsing

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
OURS = ("statistical", "isolation_forest")
LISTS = dict(zip(days_from(DAY, 3), (OURS, ("statistical",), (*OURS, "velocity")), strict=True))
ALL = (*OURS, "velocity")
DAYS = tuple(LISTS)
SETTINGS = f"""
home: home
first_day: {FIRST}
window: {{days: {WINDOW_DAYS}}}
source: {{kind: files, files: {{path: files}}, complete_until: {DAYS[-1]}}}
statistical: {{min_transactions: 6, zscore_threshold: 0.8}}
isolation_forest: {{min_transactions: 30, n_estimators: 8, max_samples: 64, contamination: 0.3}}
redis: {{embedded_max_memory_mb: 64}}
detectors: """
TALL = 4_400
"""Pixels: all of a screen is drawn."""
HEADINGS = {"flag": "One transaction"}
"""Of screens that are not headed by their title."""
OF_NOW = re.compile(r"(?:Model store\nServes|In Redis now).*", re.DOTALL)
"""What is served now, by whomever, whatever the period."""
PARTS = {
    "comparison": ("examples", "scores and thresholds", "other settings"),
    "distributions": ("apart",),
}
"""What else a screen shows, by the words to click; looked at over all days."""
NO_VALUE = re.compile(r"\b(?:None|nan|NaN|NaT|null|undefined)\b")


@pytest.fixture
def mixed() -> Iterator[str]:
    """The address of a dashboard over three scored days, each with a burst, the last with a wallet in a hurry."""
    with tempfile.TemporaryDirectory(prefix="aam-", dir=short_base()) as name:
        folder, environ = Path(name), {**UNTOUCHED, "PYTHONPATH": PATH}
        config = folder / "anomaly.yaml"
        days = days_from(FIRST, WINDOW_DAYS + len(DAYS))
        hurry = [Row(f"hurry-{n}", BUSY[0], moment(DAYS[-1], 20 + n / 100), 33.0, "org-0") for n in range(60)]
        for day in days:
            surprise = [extra(day, BUSY[0], 5000.0)] if day in DAYS else []
            deliver(folder / "files", day, [*ordinary_day(day), *surprise, *(hurry if day == DAYS[-1] else [])])
        try:
            with velocity_installed():
                made_by(config, OURS).ingest(*days)
                for day, listed in LISTS.items():
                    made_by(config, listed).detect(day)
            with running_dashboard(config, folder, environ) as url:
                yield url
        finally:
            stop_store(config, environ)


def made_by(config: Path, listed: tuple[str, ...]) -> Maker:
    """The home, its list of detectors being this from now on."""
    config.write_text(f"{SETTINGS}[{', '.join(listed)}]\n", encoding="utf-8")
    settings = load_settings(config, environ={})
    return Maker(config.parent, settings, source_resource(settings).open())


def test_every_page_names_those_that_judged_its_days_and_nobody_else(chromium: str, mixed: str, shoot: Shoot) -> None:
    with browsing(chromium) as context:
        complaints, page = Complaints(context), context.new_page()
        page.set_viewport_size({"width": 1366, "height": TALL})
        for first, last in ((DAYS[0], DAYS[-1]), *zip(DAYS, DAYS, strict=True)):
            judged = {name for day, listed in LISTS.items() if first <= day <= last for name in listed}
            for shown in screens(page, mixed, first, last):
                drawn(page)
                if first < last:
                    shoot(page, f"dashboard_mixed_{shown}")
                looks_right(page, judged, shown)
                if shown == "timeline":
                    expect(page.get_by_text("any detector").first).to_be_visible(visible="velocity" not in judged)
        assert complaints.found == []


def screens(page: Page, url: str, first: date, last: date) -> Iterator[str]:
    """Every screen of the dashboard over a period, one after the other, by the links beside them or its address."""
    period = f"from={first}&to={last}"
    addresses = {"wallet": f"wallet={BUSY[0]}&{period}", "flag": f"tx={last}-{BUSY[0]}-extra&day={last}"}
    every = screens_of(installed_families())
    page.goto(f"{url}/?page={next(iter(every))}&{period}")
    for name in sorted(every, key=lambda name: name in addresses):
        heading = HEADINGS.get(name, every[name].TITLE)
        if name in addresses:
            page.goto(f"{url}/?{addresses[name]}")
        else:
            page.get_by_test_id("stSidebarNav").get_by_role("link", name=every[name].TITLE, exact=True).click()
        ready(page, heading)
        yield name
        for part in PARTS.get(name, ()) if first < last else ():
            page.get_by_test_id("stMain").get_by_text(part, exact=True).click()
            expect(page).to_have_url(re.compile(f"={re.escape(quote_plus(part))}"))
            ready(page, heading)
            yield f"{name}, {part}"


def looks_right(page: Page, judged: set[str], shown: str) -> None:
    """The screen has no error and no words for a missing value, and names those that judged alone."""
    assert errors_shown(page) == []
    main = page.get_by_test_id("stMain")
    tables = " ".join(main.locator("canvas").all_text_contents())
    assert NO_VALUE.findall(main.inner_text() + tables) == [], shown
    of_period = OF_NOW.sub("", main.inner_text()) + (tables if shown == "organisations" else "")
    assert {name for name in ALL if readable(name) in of_period} == (judged if shown != "operations" else set()), shown
