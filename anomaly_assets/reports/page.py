"""HTML that stands alone: elements whose text is escaped as they are made, and the frame of a page."""

import base64
import html
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from anomaly_assets.domain.shown_text import shown
from anomaly_assets.reports.style import CSS

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What a browser may load for a page: nothing."""
_VOID = {"br", "img", "link", "meta"}


class Html(str):
    """Markup: everything foreign in it is escaped. Only this module makes it of text."""

    __slots__ = ()


def el(name: str, /, *children: str, **attributes: str | float | None) -> Html:
    """An element; children that are no ``Html`` are text, and text is escaped and holds nothing invisible.

    Attributes are named as in Python: ``class_`` is ``class``, ``stroke_width`` is ``stroke-width``; None leaves one
    out.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{join(*children)}</{name}>")


def join(*parts: str) -> Html:
    """Parts one after the other; those that are no ``Html`` are escaped."""
    return Html("".join(part if isinstance(part, Html) else _escaped(part) for part in parts))


def page(title: str, *body: str, written_at: datetime | None = None) -> str:
    """A whole document, equal for equal arguments."""
    when = "" if written_at is None else f" at {written_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        el("meta", name="referrer", content="no-referrer"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("link", rel="icon", href="data:,"),
        el("title", title),
        Html(f"<style>{CSS}</style>"),
    )
    foot = el("footer", f"Written by anomaly-assets{when}. This file loads nothing and runs nothing.")
    return f"<!DOCTYPE html>\n{el('html', head, el('body', el('main', *body), foot), lang='en')}\n"


def section(title: str, *body: str) -> Html:
    """A part of a page under a heading."""
    return el("section", el("h2", title), *body)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()) -> Html:
    """A table; the columns whose places are in ``numbers`` are set to the right."""

    def line(cell: str, values: Sequence[str]) -> Html:
        places = enumerate(values)
        return el("tr", *(el(cell, value, class_="n" if place in numbers else None) for place, value in places))

    body = el("tbody", *(line("td", row) for row in rows))
    return el("div", el("table", el("thead", line("th", header)), body), class_="wide")


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Names with what they are, below each other."""
    return el("dl", *(join(el("dt", name), el("dd", value)) for name, value in pairs))


def listed(items: Iterable[str]) -> Html:
    """A list."""
    return el("ul", *(el("li", item) for item in items))


def badge(text: str, tone: str) -> Html:
    """A word that is seen first; ``tone`` is good, bad, doubtful or plain."""
    return el("span", text, class_=f"badge {tone}")


def foreign(text: str) -> Html:
    """An id or a name that others gave: it may be long, and may run from right to left."""
    return el("span", text, class_="any")


def code(text: str) -> Html:
    """Digests, ids and commands, as they are to be copied."""
    return el("code", text)


def lines(text: str) -> Html:
    """Text with its own line breaks."""
    first, *others = text.split("\n")
    return join(first, *(part for line in others for part in (el("br"), line)))


def words(name: str) -> str:
    """A column's, status's or detector's name as words."""
    return name.replace("_", " ")


def moment(iso: str) -> str:
    """A moment of a trace, in UTC to the second."""
    return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def image(png: bytes, told: str) -> Html:
    """A picture inside the page; ``told`` says the same to whoever cannot see it."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return el("img", src=source, alt=told)


def link(address: str, text: str) -> Html:
    """A link that opens a web page, or the text alone when ``address`` is no web address."""
    try:
        is_web = urlsplit(address).scheme in {"http", "https"}
    except ValueError:
        is_web = False
    return el("a", text, href=address, rel="noopener noreferrer") if is_web else el("span", text)


def _escaped(value: object) -> str:
    return html.escape(shown(value), quote=True)
