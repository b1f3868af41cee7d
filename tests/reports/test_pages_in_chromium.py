"""The pages in a real Chromium: nothing is loaded, nothing complains, they are read on light and dark ground."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.conftest import chromium  # noqa: F401 - fixture
from browser.pages import browsing
from cli.conftest import SMALL, Shell
from playwright.sync_api import Page

from anomaly_assets.adapters.home import Home
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.explain import explain
from anomaly_assets.evidence.trace import trace
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.reports.day_report import day_page
from anomaly_assets.reports.flag_report import flag_page
from anomaly_assets.settings import load_settings
from anomaly_assets.views.day_report import day_report
from anomaly_assets.views.digests import Digests
from reports.conftest import HOSTILE_DAY, VISIBLE

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("reports")]
ADDRESS = "http://127.0.0.1:3000"


@pytest.fixture(scope="module")
def files(hostile: Shell, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of the hostile day and that of one of its flags, as files."""
    home, folder = Home(hostile.home), tmp_path_factory.mktemp("pages")
    detection = load_settings(environ=SMALL, overrides={"home": hostile.home}).detection
    found = day_report(Digests(home), HOSTILE_DAY, detection, n_flags=50)
    tx_id = VISIBLE[1]
    proof = Verifier(home).verify(HOSTILE_DAY, [tx_id])
    explanation = explain(Case.of(home, HOSTILE_DAY), tx_id)
    pages = {
        "day": day_page(found, dagster_address=ADDRESS),
        "flag": flag_page(trace(home, tx_id), explanation, proof, dagster_address=ADDRESS),
    }
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in pages}


@pytest.fixture(scope="module")
def page(chromium: str, files: dict[str, Path]) -> Iterator[Page]:  # noqa: F811
    """One browser for all tests here, gone before any other module's."""
    with browsing(chromium) as context:
        yield context.new_page()


@pytest.fixture(params=["day", "flag"])
def opened(request: pytest.FixtureRequest, page: Page, files: dict[str, Path]) -> Iterator[Page]:
    """A page that was opened, and afterwards the claims that nothing was loaded and nothing complained."""
    address = files[request.param].as_uri()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda found: asked.append(found.url))
    page.on("console", lambda line: complaints.append(line.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    yield page
    assert complaints == []
    assert [url for url in asked if not url.startswith("data:")] == [address]
    for event in ("request", "console", "pageerror"):
        for listener in list(page._impl_obj.listeners(event)):
            page._impl_obj.remove_listener(event, listener)
    page.emulate_media(color_scheme="light", media="screen")
    page.set_viewport_size({"width": 1500, "height": 950})


def ground(page: Page) -> list[int]:
    """Colour of the page's ground."""
    color: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return [int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(",")]


def contrast(page: Page, selector: str) -> float:
    """Contrast of the first such element's text with the card it is on, as WCAG counts it."""
    found: float = page.evaluate(
        """selector => {
            const parts = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
            const light = color => parts(color).map(v => v / 255).map(
                v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
            ).reduce((sum, v, place) => sum + v * [0.2126, 0.7152, 0.0722][place], 0);
            const element = document.querySelector(selector);
            const ink = light(getComputedStyle(element).color);
            const card = light(getComputedStyle(element.closest('section') || document.body).backgroundColor);
            return (Math.max(ink, card) + 0.05) / (Math.min(ink, card) + 0.05);
        }""",
        selector,
    )
    return found


def test_the_page_shows_pictures_and_runs_nothing(opened: Page) -> None:
    assert opened.evaluate("document.scripts.length") == 0
    widths = opened.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert all(widths)
    drawn = opened.evaluate("[...document.querySelectorAll('svg')].map(each => each.getBoundingClientRect().height)")
    assert all(drawn)
    assert widths or drawn


@pytest.mark.parametrize("name", ["day", "flag"])
def test_a_page_that_would_load_something_may_not(page: Page, files: dict[str, Path], name: str) -> None:
    """The policy in the file is in force: an image from elsewhere is refused before it is asked for."""
    page.goto(files[name].as_uri())
    refused = page.evaluate(
        """() => new Promise(resolve => {
            document.addEventListener('securitypolicyviolation', event => {
                resolve(event.effectiveDirective);
            });
            const image = new Image();
            image.src = 'http://127.0.0.1:9/x.png';
        })"""
    )
    assert refused == "img-src"


def test_light_and_dark_are_told_apart_and_both_can_be_read(opened: Page) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        opened.emulate_media(color_scheme=scheme)
        grounds[scheme] = sum(ground(opened))
        for selector in ("section h2", "section td", "section .badge", "section th", "header .lead"):
            assert contrast(opened, selector) >= 4.5, (scheme, selector)
    assert grounds["light"] > 700
    assert grounds["dark"] < 100


def test_nothing_sticks_out_on_a_telephone_or_on_paper(opened: Page) -> None:
    opened.set_viewport_size({"width": 390, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    opened.emulate_media(media="print", color_scheme="dark")
    assert ground(opened) == [255, 255, 255]
    assert opened.pdf().startswith(b"%PDF")
