"""Homes to report on: the small scored ones of the evidence, and one whose ids and names are made to break pages."""

import csv
import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import pytest
from cli.conftest import SMALL, Shell, empty_folder, shell  # noqa: F401 - fixture
from evidence.conftest import home, proved, untouched  # noqa: F401 - fixtures

HOSTILE_DAY = date(2024, 3, 8)
VISIBLE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "[bold]loud[/bold]",
    "[/]",
    "[link=http://x.example]x[/link]",
    "&lt;b&gt; &amp;",
    "--help",
    "$(id) `id` $x $y$",
    "{curly} %s \\n",
    "שלום עולם",
    "東京商店",
    "x" * 200,
]
"""Texts that the border lets in and that no page, picture or terminal should stumble over."""
UNSEEN = [
    "line\nbreak",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "a\u202eevil\u202c",
    "zero\u200bwidth",
    "nul\x00",
    "\r\rback",
]
"""Texts that the border refuses; files that somebody changed may still hold them."""


@pytest.fixture(scope="session")
def hostile() -> Iterator[Shell]:
    """A folder in which days of hostile ids, wallets and organisations were scored; only to be read.

    Every wallet has twelve alike rows a day, and on HOSTILE_DAY one that is far out and has a hostile id.
    """
    with empty_folder() as folder:
        shell = Shell(folder)
        start = datetime(2024, 3, 1)  # noqa: DTZ001 - the file's times carry no zone
        with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as sink:
            writer = csv.writer(sink)
            writer.writerow(["tx_id", "wallet_id", "tx_completed_at", "total_amount", "org_name"])
            for place, text in enumerate(VISIBLE):
                for hour in range(12 * 8):
                    at = start + timedelta(hours=2 * hour, minutes=place)
                    writer.writerow([f"{place}-{hour}", f"w{text}", at.isoformat(), 10 + hour % 7, text])
                writer.writerow([text, f"w{text}", f"{HOSTILE_DAY}T23:59:{place:02d}", 1e6 * (place + 1), text])
        source = {"kind": "files", "files": {"path": "rows.csv"}}
        settings = {"first_day": "2024-03-01", "source": source}
        (folder / "anomaly.yaml").write_text(json.dumps(settings), encoding="utf-8")
        done = shell.json("backfill", "--from", "2024-03-07", "--to", str(HOSTILE_DAY), **SMALL)
        assert done["days"][-1]["flagged"] >= len(VISIBLE)
        yield shell
