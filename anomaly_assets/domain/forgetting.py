"""Taking ids out of texts: whole lines that name one of them."""

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

ERASED = "(erased)"
SYSTEM_KEYS = ("__", "dagster/", ".dagster/", "anomaly_assets/")
"""How keys begin whose values are no text of people: Dagster's types and tags, and ours."""
_SIMPLE = re.compile(r"[\w.:@/+-]+")


class Forgotten:
    """Ids that no text may name any more.

    An id counts as named where it stands by itself: ``w1`` is not named by ``w10``. Ids of letters, digits and
    ``_.:@/+-`` are found however many there are; others are searched for one by one.

    Parameters
    ----------
    ids : ids to forget
    also : says of a word whether it is one more of them, known by a digest only
    """

    def __init__(self, ids: Iterable[str], *, also: Callable[[str], bool] = lambda _: False) -> None:
        everything = self._ids = set(ids)
        self._also = cache(also)
        self._simple = {text for text in everything if _SIMPLE.fullmatch(text)}
        self._others = [re.compile(rf"(?<!\w){re.escape(text)}(?!\w)") for text in sorted(everything - self._simple)]

    def named_in(self, text: str) -> bool:
        """Whether the text names one of them."""
        words = set(_SIMPLE.findall(text))
        # a word may be wrapped in marks that ids may hold as well: a sentence's full stop, a label's colon
        words |= {word.strip(".:/@+-") for word in words}
        words |= {part for word in words for part in re.split(r"[:/]", word) if part}
        if not self._simple.isdisjoint(words) or any(other.search(text) for other in self._others):
            return True
        return any(map(self._also, words))

    def named_in_any_case(self, text: str) -> bool:
        """The same where capital and small letters are alike, as they are to people; not for ids known by a digest."""
        folded = Forgotten({each.casefold() for each in self._ids})
        return self.named_in(text) or folded.named_in(text.casefold())

    def without(self, text: str) -> str:
        """The text without the lines that name one of them."""
        if not self.named_in(text):
            return text
        return "\n".join(line for line in text.split("\n") if not self.named_in(line)) or ERASED

    def without_in(self, value: Any, keys: frozenset[str]) -> Any:
        """JSON with the texts under ``keys`` rid of them, however deep; whatever else is left as it is."""
        if isinstance(value, dict):
            return {
                key: self._all_texts(part) if key in keys else self.without_in(part, keys)
                for key, part in value.items()
            }
        return [self.without_in(part, keys) for part in value] if isinstance(value, list) else value

    def _all_texts(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.without(value)
        if isinstance(value, dict):
            return {key: part if key.startswith(SYSTEM_KEYS) else self._all_texts(part) for key, part in value.items()}
        return [self._all_texts(part) for part in value] if isinstance(value, list) else value
