"""A small prepared home, Dagster's pages over it, and a real Chromium that may talk to this machine only."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page
from snowflake_stand_in import snowflake_port

from browser.dagster_ui import RunningUi, alive, prepare, running_ui, stop_store, write_settings
from browser.pages import NO_CHROMIUM, VIEWPORT, browsing, chromium_path

__all__ = ["snowflake_port"]  # a fixture

LOCAL = {"127.0.0.1", ""}
"""Hosts pages may name; data: and blob: addresses have none."""
SCREENSHOTS_ENV = "SCREENSHOTS"

Shoot = Callable[[Page, str], None]


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; without one, tests that need it say so."""
    return chromium_path() or pytest.skip(NO_CHROMIUM)


@pytest.fixture(scope="session")
def shoot() -> Shoot:
    """Saves what a page shows as a PNG below ``$SCREENSHOTS`` (default: screenshots/ of the project)."""
    folder = Path(os.environ.get(SCREENSHOTS_ENV) or Path(__file__).parents[2] / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)

    def save(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png", animations="disabled")

    return save


@pytest.fixture(scope="module")
def ui(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUi]:
    """Dagster's pages over the prepared home."""
    folder = tmp_path_factory.mktemp("ui")
    config = write_settings(folder)
    try:
        prepare(config)
        with running_ui(config, folder) as ui:
            yield ui
            family = ui.family()
        assert alive(family) == []
    finally:
        stop_store(config)


class Complaints:
    """What a browser would complain about, collected while pages are used."""

    def __init__(self, context: BrowserContext) -> None:
        self.found: list[str] = []
        context.on("request", lambda request: self._host(request.url))
        context.on("weberror", lambda error: self.found.append(f"exception: {error.error}"))
        context.on("console", lambda line: self.found.append(f"console: {line.text}") if line.type == "error" else None)

    def _host(self, url: str) -> None:
        if (urlsplit(url).hostname or "") not in LOCAL:
            self.found.append(f"request to another host: {url}")


@pytest.fixture(scope="module")
def context(chromium: str, ui: RunningUi) -> Iterator[BrowserContext]:
    """One browser for all tests of a module: its cache saves loading Dagster's scripts anew each time.

    It holds an event loop in this thread, where runs of Dagster need one of their own: so the home is ready before,
    and the browser is gone before any other module's tests.
    """
    with browsing(chromium) as context:
        yield context


@pytest.fixture(scope="module")
def complaints(context: BrowserContext) -> Complaints:
    """Of all pages of the browser."""
    return Complaints(context)


@pytest.fixture
def page(context: BrowserContext, complaints: Complaints) -> Iterator[Page]:
    """The page of the test before, in its usual size, or a fresh one when a dialog was left open on it.

    Afterwards the claim that using it brought no error and no request to another host.
    """
    complaints.found.clear()
    page = next(iter(context.pages), None) or context.new_page()
    page.set_viewport_size(VIEWPORT)
    yield page
    for other in context.pages:
        if other is not page or page.get_by_role("dialog").count():
            other.close()
    assert complaints.found == []
