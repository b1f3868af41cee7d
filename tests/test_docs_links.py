"""Links of the README and the docs lead somewhere: to a file, to a heading, and so do the files that pages name."""

import importlib.util
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

CODE = re.compile(r"(`+)(?!`)(?:(?!\n\s*\n).)+?(?<!`)\1(?!`)", flags=re.DOTALL)
"""A code span, which ends with its paragraph at the latest."""
INLINE = re.compile(r"\]\(\s*<?([^)\s>]*)>?(?:\s+[\"'][^)]*)?\s*\)")
DEFINED = re.compile(r"^ {0,3}\[[^\]^][^\]]*\]:\s*<?([^\s>]+)>?", flags=re.MULTILINE)
HTML = re.compile(r"\b(?:href|src)\s*=\s*[\"']([^\"']+)[\"']")
NAMED = re.compile(r"\b(?:id|name)\s*=\s*[\"']([^\"']+)[\"']")
ELSEWHERE = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:")
"""A target with a scheme: another site, or mail."""


def without_code_blocks(text: str) -> str:
    """The text without fenced blocks and comments: nothing in them is a link or a heading."""
    lines, fence = [], ""
    for line in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).split("\n"):
        mark = re.match(r"\s*(`{3,}|~{3,})", line)
        if fence:
            ends = mark is not None and mark[1].startswith(fence) and not line.strip().strip(fence[0])
            fence = "" if ends else fence
        elif mark:
            fence = mark[1]
        else:
            lines.append(line)
    return "\n".join(lines)


def links(text: str) -> Iterator[str]:
    """Targets of every link and picture of a page, code left out."""
    prose = CODE.sub("", without_code_blocks(text))
    for pattern in (INLINE, DEFINED, HTML):
        yield from (found[1] for found in pattern.finditer(prose))


def anchors(text: str) -> set[str]:
    """What a page can be entered by: its headings as GitHub names them, and names it gives itself."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    prose = without_code_blocks(text)
    for heading in re.findall(r"^ {0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$", prose, flags=re.MULTILINE):
        anchor = anchor_of(heading)
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found | set(NAMED.findall(prose))


def anchor_of(heading: str) -> str:
    """GitHub's rule: the shown text in lower case, only letters, digits, `_` and `-` kept, spaces made hyphens."""
    shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")


def broken_links(page: Path, root: Path) -> list[str]:
    """What is wrong with each relative link of ``page`` that leads nowhere inside ``root``."""
    return [
        f"{page.relative_to(root)}: {target}: {problem}"
        for target in links(page.read_text(encoding="utf-8"))
        if not ELSEWHERE.match(target) and (problem := problem_of(page, target, root))
    ]


def problem_of(page: Path, target: str, root: Path) -> str | None:
    """Why a relative link leads nowhere; None when it leads somewhere."""
    name, _, anchor = target.partition("#")
    path = (page.parent / unquote(name)).resolve() if name else page
    if not path.is_relative_to(root):
        return "leaves the project"
    if not path.exists():
        return "no such file"
    if not anchor:
        return None if name else "leads to nothing"
    if path.suffix != ".md":
        return "only pages have headings"
    return None if unquote(anchor) in anchors(path.read_text(encoding="utf-8")) else "no such heading"


def files_named(text: str) -> set[str]:
    """Source files between single backticks."""
    return set(re.findall(r"`([\w./*-]+\.(?:py|pyx|pxd|lua))`", without_code_blocks(text)))


def is_there(name: str) -> bool:
    """Whether a page may name this source file: of the project, of its package, or of scikit-learn as installed."""
    if name.startswith("sklearn/"):
        return name.endswith((".pyx", ".pxd")) or (installed("sklearn").parent / name).exists()
    return any(True for folder in (ROOT, ROOT / "anomaly_assets") for _ in folder.glob(name))


def installed(package: str) -> Path:
    """Folder of an installed package, which is not imported for it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    """Relative links and anchors lead to files and headings of the project."""
    assert broken_links(page, ROOT) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_source_file_that_a_page_names_is_there(page: Path) -> None:
    """Files of the package may be named as from its folder; compiled sources of scikit-learn are not installed."""
    assert [name for name in sorted(files_named(page.read_text(encoding="utf-8"))) if not is_there(name)] == []


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    """Nobody has to look into the folder to find a page."""
    readme = ROOT / "README.md"
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in links(readme.read_text(encoding="utf-8"))}
    assert [str(page.relative_to(ROOT)) for page in PAGES if page != readme and page not in linked] == []


def project(folder: Path, page: str) -> Path:
    """A small project whose page ``docs/page.md`` holds ``page``."""
    (folder / "docs" / "pictures").mkdir(parents=True)
    (folder / "README.md").write_text("# The *program* & its `parts`: 2 of them\n\n## Again\n\n## Again\n")
    (folder / "docs" / "pictures" / "a b.png").touch()
    (folder / "docs" / "page.md").write_text(page, encoding="utf-8")
    return folder / "docs" / "page.md"


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("[a](other.md)", "no such file"),
        ("![a](pictures/none.png)", "no such file"),
        ("[![a](pictures/none.png)](../README.md)", "no such file"),
        ("[a][b]\n\n[b]: other.md", "no such file"),
        ('<img src="pictures/none.png">', "no such file"),
        ("[two\nlines](other.md)", "no such file"),
        ("[a](#nowhere)", "no such heading"),
        ("[a](../README.md#nowhere)", "no such heading"),
        ("[a](../README.md#again-2)", "no such heading"),
        ("[a](#no-heading)\n\n```\n# no heading\n```", "no such heading"),
        ("[a](#No-Case)\n\n# No case", "no such heading"),
        ("[a](pictures/a%20b.png#part)", "only pages have headings"),
        ("[a](../../outside.md)", "leaves the project"),
        ("[a]()", "leads to nothing"),
        ("```\n[in a block](none.md)\n```\n[behind it](other.md)", "no such file"),
        ("`[in code](none.md)` and [beside it](other.md)", "no such file"),
    ],
)
def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, page: str, problem: str) -> None:
    """The checker names the page, the target and what is wrong, once."""
    found = broken_links(project(tmp_path, page), tmp_path)
    assert [line.rpartition(": ")[2] for line in found] == [problem]
    assert found[0].startswith("docs/page.md: ")


@pytest.mark.parametrize(
    "page",
    [
        "[a](../README.md) [b](page.md) [c](pictures) [d](https://example.com/none) [e](mailto:a@example.com)",
        "[a](../README.md#the-program--its-parts-2-of-them) [b](../README.md#again) [c](../README.md#again-1)",
        "[a](#größe-und-maß)\n\n## Größe und Maß",
        '[a](#here)\n\n<a id="here"></a>',
        "[a](#a-link-in-a-heading)\n\n## A [link](../README.md) in a heading ##",
        '![a](pictures/a%20b.png) [b](<page.md> "with a title")',
        "`[in code](none.md)` ``[in `code`](none.md)``",
        "~~~\n[in a block](none.md)\n~~~\n\n<!-- [hidden](none.md) -->",
        "A footnote.[^1]\n\n[^1]: other.md is no link",
    ],
)
def test_links_that_lead_somewhere_are_let_pass(tmp_path: Path, page: str) -> None:
    """Other sites, mail, folders, headings by GitHub's rule, code and comments are nothing to complain of."""
    assert broken_links(project(tmp_path, page), tmp_path) == []


def test_a_source_file_that_is_not_there_is_found() -> None:
    """Of the project, of the package, of scikit-learn; patterns count as well."""
    named = files_named("`cli.py` `anomaly_assets/cli.py` `adapters/*.lua` `sklearn/ensemble/_iforest.py`")
    assert len(named) == 4
    assert all(map(is_there, named))
    assert not any(map(is_there, ["none.py", "adapters/*.none.lua", "domain/cli.py", "sklearn/none.py"]))
