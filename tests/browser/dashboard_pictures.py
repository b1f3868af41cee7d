"""The dashboard's and the report's pictures of the docs, over the home of the demo."""

import io
import subprocess
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from browser.dagster_ui import COMMAND, UNTOUCHED
from browser.dashboard import ready, whole

WIDTH, CUT = 1400, 1500
"""Of a picture, pixels: what lies lower on a screen is left out."""
COLOURS = 256
SETTLING_MILLISECONDS = 1_500
"""Figures are drawn in steps."""
FLAG = "6e9e9a1fe9ab8b64"
"""The flag that docs/lineage.md walks."""
WALLET = "W000123"
PERIOD_SCREENS = {
    "overview": "Overview",
    "comparison": "Model comparison",
    "distributions": "Distributions",
    "timeline": "Timeline",
    "organisations": "Organisations",
    "operations": "Operations",
}


def take_dashboard(page: Page, url: str, day: str, folder: Path) -> None:
    """Every picture of the dashboard at ``url``, as a PNG below ``folder``."""
    for name, heading in PERIOD_SCREENS.items():
        page.goto(f"{url}/?page={name}")
        ready(page, heading)
        _save(page, folder / f"dashboard_{name}.png")
    page.goto(f"{url}/?tx={FLAG}&day={day}")
    ready(page, "One transaction")
    _save(page, folder / "dashboard_flag.png")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("re-trained: proven")).to_be_visible()
    _save(page, folder / "dashboard_flag_proven.png", low=True)
    page.goto(f"{url}/?wallet={WALLET}&day={day}")
    ready(page, "Wallet explorer")
    _save(page, folder / "dashboard_wallet.png")


def take_report(page: Page, config: Path, folder: Path) -> None:
    """The report of the newest day as a page."""
    written = config.parent / "day.html"
    command = [str(COMMAND), "report", "--html", str(written), "--config", str(config)]
    subprocess.run(command, env=UNTOUCHED, check=True, capture_output=True)
    page.set_viewport_size({"width": WIDTH, "height": CUT})
    page.goto(written.as_uri())
    _write(page.screenshot(animations="disabled"), folder / "report_day.png")


def _save(page: Page, path: Path, *, low: bool = False) -> None:
    """The upper (or lower) part of a screen."""
    whole(page)
    page.mouse.move(0, 0)
    page.wait_for_timeout(SETTLING_MILLISECONDS)
    content = page.screenshot(animations="disabled")
    image = Image.open(io.BytesIO(content))
    top = max(image.height - CUT, 0) if low else 0
    cut = image.crop((0, top, image.width, min(top + CUT, image.height)))
    sink = io.BytesIO()
    cut.save(sink, "PNG")
    _write(sink.getvalue(), path)


def in_few_colours(image: Image.Image, colours: int) -> bytes:
    """A PNG; the most frequent colours stay nearly as they are, so that grey is not tinted."""
    sink = io.BytesIO()
    image.quantize(colours, Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE).save(
        sink, "PNG", optimize=True
    )
    return sink.getvalue()


def _write(content: bytes, path: Path) -> None:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    smaller = image.resize((image.width * 2 // 3, image.height * 2 // 3), Image.Resampling.LANCZOS)
    path.write_bytes(in_few_colours(smaller, COLOURS))
