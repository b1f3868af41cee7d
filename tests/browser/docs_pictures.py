"""The pictures of README and docs, taken from Dagster's pages, the dashboard and a report over the home of the demo.

PYTHONPATH=tests python -m browser.docs_pictures [--home home] [--day 2024-06-30] [--to docs/pictures]
"""

import argparse
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page, ViewportSize, expect

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.days import day_named
from anomaly_assets.domain.families import OURS, names_of
from anomaly_assets.domain.lineage import MODELS, SCORED
from browser.dagster_ui import COMMAND, UNTOUCHED, running_ui, stop_store
from browser.dashboard import running_dashboard
from browser.dashboard_pictures import in_few_colours, take_dashboard, take_report
from browser.pages import GROUPS, LINEAGE, NO_CHROMIUM, browsing, chromium_path, entry, open_day, opened, visible

SETTLING_MILLISECONDS = 300
ROOT = Path(__file__).parents[2]
COLOURS = 256
"""Enough for pages of text and a plot, at a third of the bytes, when rare ones (icons) are kept as well."""


def main() -> int:
    """Start the pages, take all pictures, end what was started."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=ROOT / "home", help="home of the demo [home]")
    parser.add_argument("--day", default="2024-06-30", help="a scored day [2024-06-30, of the flag that is walked]")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "pictures", help="folder [docs/pictures]")
    arguments = parser.parse_args()
    chromium, day = chromium_path(), day_named(arguments.day)
    if chromium is None:
        parser.error(NO_CHROMIUM)
    if day is None or Home(arguments.home).lake.find(SCORED, day) is None:
        parser.error(f"{arguments.home} holds no scores of {arguments.day}: run `make demo` first, or name another day")
    with tempfile.TemporaryDirectory(prefix="aap-", dir="/tmp") as folder:
        config = Path(folder) / "anomaly.yaml"
        config.write_text(f"home: {arguments.home.absolute()}\n", encoding="utf-8")
        status = [str(COMMAND), "store", "status", "--config", str(config)]
        store_ran = subprocess.run(status, env=UNTOUCHED, check=False, capture_output=True).returncode == 0
        try:
            with running_ui(config, Path(folder)) as ui, browsing(chromium) as context:
                take(context.new_page(), ui.url, arguments.day, arguments.to)
                with running_dashboard(config, Path(folder)) as dashboard:
                    take_dashboard(context.new_page(), dashboard, arguments.day, arguments.to)
                take_report(context.new_page(), config, arguments.to)
        finally:
            if not store_ran:
                stop_store(config)
    return 0


def take(page: Page, url: str, day: str, folder: Path) -> None:
    """Every picture, as a PNG below ``folder``, from the pages at ``url`` about ``day``."""
    for name, (size, picture) in PICTURES.items():
        page.set_viewport_size(size)
        taken = Image.open(io.BytesIO(picture(page, url, day))).convert("RGB")
        (folder / f"{name}.png").write_bytes(in_few_colours(taken, COLOURS))


def _asset_graph(page: Page, url: str, day: str) -> bytes:
    page.goto(f"{url}{LINEAGE}")
    names = [visible(page.locator("svg").get_by_text(name, exact=True)) for name in (*GROUPS, *names_of(OURS))]
    for name in names:
        expect(name).to_be_visible()
    expect(visible(page.get_by_text(" Passed")).first).to_be_visible()
    page.wait_for_load_state("networkidle")
    # the frames reach beyond the names in them
    return _part(page, [box for name in names if (box := name.bounding_box())], margins=(30, 30, 140, 145))


def _day_of(asset: str) -> Callable[[Page, str, str], bytes]:
    def picture(page: Page, url: str, day: str) -> bytes:
        open_day(page, url, asset, day)
        shown = [page.get_by_text("Materialized", exact=True), entry(page, "publication log head")]
        page.mouse.move(0, 0)
        return _part(page, [box for part in shown if (box := part.bounding_box())], margins=(20, 8, 20, 8))

    return picture


def _top_flags(page: Page, url: str, day: str) -> bytes:
    open_day(page, url, SCORED, day)
    with opened(page, "top flags") as dialog:
        expect(dialog.locator("tbody tr").first).to_be_visible()
        return _part(page, [_settled(dialog)], margins=(-2, -2, -2, -2))


def _settled(part: Locator) -> FloatRect:
    """Where a part of the page is once it does not move or grow any more."""
    before, now = None, part.bounding_box()
    while now is None or now != before:
        part.page.wait_for_timeout(SETTLING_MILLISECONDS)
        before, now = now, part.bounding_box()
    return now


def _part(page: Page, boxes: Sequence[FloatRect], *, margins: tuple[int, int, int, int]) -> bytes:
    """What is around all ``boxes``, so many pixels to the left, above, to the right and below."""
    to_left, above, to_right, below = margins
    left, top = min(box["x"] for box in boxes) - to_left, min(box["y"] for box in boxes) - above
    right = max(box["x"] + box["width"] for box in boxes) + to_right
    bottom = max(box["y"] + box["height"] for box in boxes) + below
    clip: FloatRect = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    return page.screenshot(animations="disabled", clip=clip)


PICTURES: Mapping[str, tuple[ViewportSize, Callable[[Page, str, str], bytes]]] = {
    "asset_graph": ({"width": 2000, "height": 900}, _asset_graph),
    "scored_transactions_day": ({"width": 1500, "height": 1900}, _day_of(SCORED)),
    "top_flags": ({"width": 1300, "height": 900}, _top_flags),
    "wallet_models_day": ({"width": 1500, "height": 1900}, _day_of(MODELS)),
}
"""Name of a picture to the size of the window, pixels, and how it is taken."""


if __name__ == "__main__":
    sys.exit(main())
