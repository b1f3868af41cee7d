"""The dashboard as users start it: the installed command over a home, and when a page of it is ready."""

import signal
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from playwright.sync_api import Locator, Page, expect

from browser.dagster_ui import COMMAND, START_SECONDS, STOP_SECONDS, UNTOUCHED, free_port

HEADER_PIXELS, ROW_PIXELS = 35, 35
"""Heights of a table's header and rows."""
PAGE_PIXELS = 6_000
"""Tallest screen that is photographed whole."""


@contextmanager
def running_dashboard(config: Path, folder: Path, environ: Mapping[str, str] = UNTOUCHED) -> Iterator[str]:
    """Its address, once it answers; at the end nothing of it is left."""
    port, log = free_port(), folder / "dashboard.log"
    command = [str(COMMAND), "dashboard", "--config", str(config), "--port", str(port)]
    with log.open("wb") as sink:
        process = psutil.Popen(command, cwd=folder, env=dict(environ), stdout=sink, stderr=sink, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}/_stcore/health", process, log)
        yield f"http://127.0.0.1:{port}"
        family = process.children(recursive=True)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)
    assert [each.cmdline() for each in family if each.is_running()] == []


def _wait(address: str, process: psutil.Process, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310  an address of our own
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the dashboard does not answer:\n{log.read_text()}")


def ready(page: Page, heading: str) -> None:
    """Wait until the screen of this heading is drawn whole."""
    expect(page.get_by_role("heading", name=heading, exact=True).first).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)


def whole(page: Page) -> None:
    """Make the window as tall as the screen, so that all of it is drawn and can be photographed."""
    page.set_viewport_size({"width": 1500, "height": 900})  # a screen is never lower than its window
    height = int(page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight"))
    page.set_viewport_size({"width": 1500, "height": min(height + 40, PAGE_PIXELS)})
    drawn(page)


def drawn(page: Page) -> None:
    """Wait until figures and tables are drawn, also those further down than the window reaches."""
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    for chart in page.get_by_test_id("stPlotlyChart").filter(visible=True).all():  # not those of tabs behind
        expect(chart.locator(".plotly, .js-plotly-plot").first).to_be_visible()
    for table in page.get_by_test_id("stDataFrame").filter(visible=True).all():
        expect(table.locator("canvas [role=columnheader]").first).to_be_attached()


def choose_row(table: Locator, row: int) -> None:
    """Click the mark before a row of a table, counted from 0."""
    table.scroll_into_view_if_needed()
    table.click(position={"x": 15, "y": HEADER_PIXELS + ROW_PIXELS * (row + 0.5)})


def errors_shown(page: Page) -> Sequence[str]:
    """What the screen says went wrong: exceptions of the program, never messages for users."""
    return [each.inner_text() for each in page.get_by_test_id("stException").all()]
