"""Pages as a parser sees them: elements, attributes, text."""

from html.parser import HTMLParser

LOADING = {"script", "iframe", "object", "embed", "form", "base", "video", "audio", "source", "template", "animate"}
"""Elements that no page has."""
VOID = {"br", "img", "link", "meta"}


class Parsed(HTMLParser):
    """Start tags with their attributes, and the text outside the style sheet; elements must be nested properly."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == [], "elements that never end"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, "elements are nested wrongly"

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self._texts.append(data)

    @property
    def text(self) -> str:
        """All text, blanks as one."""
        return " ".join(" ".join(self._texts).split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element of this name."""
        return [attributes for name, attributes in self.tags if name == tag]


def harmless(page: str) -> Parsed:
    """The parsed page, after nothing was found in it that loads, runs or leaves the page unseen."""
    found = Parsed(page)
    names = {name for name, _ in found.tags}
    assert not names & LOADING
    for name, attributes in found.tags:
        assert not [attribute for attribute in attributes if attribute.startswith("on")], name
        assert attributes.keys() <= KNOWN, (name, attributes.keys() - KNOWN)
        for attribute in ("href", "src"):
            value = attributes.get(attribute) or "data:"
            assert value.startswith(("data:", "http://", "https://")), value
            assert name == "a" or value.startswith("data:"), (name, value)
    body = page.split("</style>", 1)[1]
    assert all(char.isprintable() or char == "\n" for char in body)
    return found


KNOWN = {
    *(
        "alt",
        "aria-label",
        "charset",
        "class",
        "content",
        "fill",
        "height",
        "href",
        "http-equiv",
        "lang",
        "name",
        "rel",
    ),
    *("role", "src", "stroke", "text-anchor", "viewbox", "width", "x", "x1", "x2", "y", "y1", "y2"),
}
"""Attributes that pages have; any other came from outside."""
