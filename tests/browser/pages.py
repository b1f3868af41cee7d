"""A real Chromium that may talk to this machine only, and what there is on Dagster's pages."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Locator, Page, ViewportSize, expect, sync_playwright

from anomaly_assets.jobs import DETECT, INGEST

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
NO_CHROMIUM = f"none of {', '.join(CHROMIUM_NAMES)} is installed (Debian: apt-get install chromium)"
VIEWPORT: ViewportSize = {"width": 1500, "height": 950}
WAIT_MILLISECONDS = 60_000
GROUPS = ("ingest", "detection")
LINEAGE = "/asset-groups?expanded=" + "%2C".join(f"global%40global%3A{group}" for group in GROUPS)
"""Path of the graph of all assets."""
TOAST = "[class*=Toaster_toastInner]"
"""A message in the corner: Dagster's way to tell errors too."""
BUTTON_OF = {INGEST: "Materialize…", DETECT: "Materialize all"}
"""How the button of a job's page is called, beside its icon: that of a job of one asset does not say *all*."""
FOLLOW = "path => { history.pushState({}, '', path); dispatchEvent(new PopStateEvent('popstate', {state: {}})) }"
"""Script that does what Dagster's own links do."""
BACKFILL_MILLISECONDS = 150_000
"""Dagster's daemon looks at backfills every 30 s: a start, one or two looks, the end."""


def chromium_path() -> str | None:
    """Where the browser is, if there is one."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


@contextmanager
def browsing(chromium: str) -> Iterator[BrowserContext]:
    """A started browser, ended at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        context = browser.new_context(viewport=VIEWPORT, timezone_id="UTC", locale="en-US", reduced_motion="reduce")
        context.set_default_timeout(WAIT_MILLISECONDS)
        expect.set_options(timeout=WAIT_MILLISECONDS)
        yield context
        browser.close()


def go(page: Page, url: str, path: str, title: str) -> None:
    """Go to a page of Dagster as a click on one of its links does, without loading its scripts anew.

    A page that was not loaded yet, or shows this path already, is loaded. Returns when the title says ``title``.
    """
    before = urlsplit(page.url)
    if page.url.startswith(f"{url}/") and before.path != urlsplit(path).path:
        page.evaluate(FOLLOW, path)
    else:
        page.goto(f"{url}{path}")
    expect(page).to_have_title(title)


def open_day(page: Page, url: str, asset: str, day: str) -> None:
    """Go to the page of one partition, which must be materialized."""
    go(page, url, f"/assets/{asset}?view=partitions&partition={day}", f"Assets | {asset}")
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()
    expect(entry(page, "revision")).to_be_visible()


def entry(page: Page, name: str) -> Locator:
    """The row of one metadata entry."""
    return page.locator(f"xpath=//tr[td[1][normalize-space()='{name}']]").first


def visible(label: Locator) -> Locator:
    """Without the hidden copies by which Dagster measures texts."""
    return label.filter(visible=True)


@contextmanager
def opened(page: Page, name: str) -> Iterator[Locator]:
    """The dialog of one metadata entry."""
    entry(page, name).get_by_text("[Show Markdown]").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    yield dialog
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)


def launch_backfill(
    page: Page, url: str, job: str, first: date, last: date, *, chosen: Callable[[Page], None] = lambda _: None
) -> str:
    """Click on the right button, that of the job's page, and choose the days; the address of what was launched.

    ``chosen`` is told when the days are chosen and nothing is launched yet.
    """
    go(page, url, "/jobs", "Jobs")
    page.get_by_role("link", name=job).click()
    page.get_by_role("button", name=BUTTON_OF[job]).click()
    page.get_by_text("Show all partitions").click()
    choice = page.get_by_placeholder("ex: ")
    choice.fill(f"[{first}...{last}]")
    choice.press("Enter")
    expect(page.get_by_text(f"{(last - first).days + 1} partitions", exact=True)).to_be_visible()
    chosen(page)
    page.get_by_role("button", name="Launch backfill").click()
    message = page.locator(TOAST)
    expect(message).to_contain_text("Created backfill")
    message.get_by_text("View", exact=True).click()
    page.wait_for_url("**/runs/b/*")
    return page.url


def see_it_done(page: Page, backfill: str, job: str, days: int, *, within: float = BACKFILL_MILLISECONDS) -> None:
    """Go to the page of a backfill of a job and wait until each of its days has succeeded."""
    page.goto(backfill)
    row = page.locator("tr", has_text=job)
    expect(row).to_contain_text("100% completed", timeout=within)
    for column, number in ((1, days), (3, days), (4, 0)):
        expect(row.locator("td").nth(column)).to_have_text(str(number))
