"""Commands that are shown give a real shell the very text that they are about."""

import pytest
from browser.hostile_flags import HOSTILE, given_to_the_command
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.shell_words import LONGEST_WORD, command_for, shell_argument

ANY_ID = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=120)
"""Without NUL, which no argument of a process can hold."""


@pytest.mark.parametrize("tx_id", [*HOSTILE, "-x", " lead", "\u202egnp", "it's " * 50, "\u2603|`" * 60])
def test_a_shell_gets_the_id_whatever_it_holds(tx_id: str) -> None:
    arguments = given_to_the_command(command_for("trace", tx_id))
    assert (arguments[0], arguments[-1]) == ("trace", tx_id)
    assert arguments[1:-1] == (["--"] if tx_id.startswith("-") else [])


@settings(deadline=None, max_examples=60)
@given(ANY_ID)
@example("\n")
def test_a_shell_gets_any_text_as_one_argument(text: str) -> None:
    assert given_to_the_command(f"anomaly-assets {shell_argument(text)}") == [text]


@given(ANY_ID)
def test_a_command_is_one_line_of_short_words_without_anything_that_cannot_be_seen(tx_id: str) -> None:
    command = command_for("verify", tx_id)
    assert command.isprintable()
    assert command == " ".join(command.split())
    assert "\\|" not in command


def test_an_ordinary_id_is_shown_as_it_is_and_a_long_one_in_parts() -> None:
    assert command_for("trace", "6e9e9a1fe9ab8b64") == "anomaly-assets trace 6e9e9a1fe9ab8b64"
    assert command_for("trace", "x" * LONGEST_WORD) == f"anomaly-assets trace {'x' * LONGEST_WORD}"
    words = command_for("trace", "x" * 256).split()
    assert max(map(len, words)) <= LONGEST_WORD
