"""Pictures of the docs: every one is there, is shown, and is small enough to be kept with the code."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
EACH_BYTES, ALL_BYTES = 150_000, 1_000_000


def test_every_picture_that_is_shown_is_there_and_every_one_that_is_there_is_shown() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in (*DOCS.rglob("*.md"), DOCS.parent / "README.md")
        for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    }
    assert shown == {path.resolve() for path in (DOCS / "pictures").iterdir()}


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (DOCS / "pictures").iterdir()}
    assert [name for name, size in sizes.items() if size > EACH_BYTES] == []
    assert sum(sizes.values()) <= ALL_BYTES
