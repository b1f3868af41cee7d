"""What the pages claim of other machines is what was measured on some."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MEASURED = "method.md#where-it-was-tried"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_promises_the_same_results_on_machines_that_were_not_tried(page: Path) -> None:
    sentences = re.split(r"(?<=\.)\s", " ".join(page.read_text().split()))
    promises = [each for each in sentences if re.search(r"\bsame\b.*(everywhere|on (any|every) (machine|CPU))", each)]
    assert not promises


@pytest.mark.parametrize("page", ["README.md", "docs/lineage.md", "docs/user-guide.md"])
def test_pages_that_speak_of_other_machines_lead_to_what_was_measured(page: str) -> None:
    assert MEASURED in (ROOT / page).read_text()
