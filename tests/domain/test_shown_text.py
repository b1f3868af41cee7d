"""Foreign text that is shown holds nothing invisible, and what it was can be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_assets.domain.shown_text import shortened, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("Käse 東京", "Käse 東京"),
        ("two\nlines", "two\\nlines"),
        ("tab\tend\r", "tab\\tend\\r"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\u202eb", "a\\u202eb"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\U000e0001", "\\U000e0001"),
        ("no\xa0break", "no\\xa0break"),
        (None, "None"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: object, expected: str) -> None:
    assert shown(text) == expected


@given(st.text())
def test_whatever_the_text_what_is_shown_is_one_line_that_can_be_printed(text: str) -> None:
    assert shown(text).isprintable()
    assert shown(shown(text)) == shown(text)


def test_long_text_ends_in_dots() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"
