"""Texts without ids: lines that name one go, all others stay."""

from hypothesis import given
from hypothesis import strategies as st

from anomaly_assets.domain.forgetting import ERASED, Forgotten

TABLE = "| id | wallet |\n|---|---|\n| t1 | w1 |\n| t2 | w10 |"


def test_only_lines_that_name_the_wallet_go() -> None:
    assert Forgotten(["w1"]).without(TABLE) == "| id | wallet |\n|---|---|\n| t2 | w10 |"
    assert Forgotten(["w1", "t2"]).without(TABLE) == "| id | wallet |\n|---|---|"
    assert Forgotten(["w"]).without(TABLE) == TABLE


def test_an_id_is_found_among_the_marks_of_a_sentence() -> None:
    forgotten = Forgotten(["w:1"])
    for text in ("it is w:1.", "`w:1`", "(w:1)", "wallet 'w:1': late", "w:1,w:2"):
        assert forgotten.without(text) == ERASED
    for text in ("w:10", "aw:1", "w:1a"):
        assert forgotten.without(text) == text
    assert Forgotten(["w1"]).without("no key model:statistical:w1 in the store") == ERASED


def test_ids_of_any_characters_are_found() -> None:
    for hard in ("a b", "x|y", "`", "é.", "a\\b", "(1"):
        assert Forgotten([hard]).without(f"first\nsay {hard} now\nlast") == "first\nlast"


def test_words_known_by_a_digest_alone_are_found() -> None:
    assert Forgotten([], also=lambda word: word == "t9").without("a\nb t9.") == "a"


def test_texts_under_the_named_keys_alone_are_changed() -> None:
    value = {"label": "w1", "entries": [{"__class__": "w1", "text": "w1"}, {"text": {"__class__": "w1", "of": "w1 x"}}]}
    assert Forgotten(["w1"]).without_in(value, frozenset({"text"})) == {
        "label": "w1",
        "entries": [{"__class__": "w1", "text": ERASED}, {"text": {"__class__": "w1", "of": ERASED}}],
    }


@given(st.lists(st.text(min_size=1).filter(lambda text: text.strip() and "\n" not in text)), st.text())
def test_what_was_forgotten_is_not_found_again(ids: list[str], text: str) -> None:
    forgotten = Forgotten(ids)
    again = forgotten.without(text)
    assert again == ERASED or not forgotten.named_in(again)
    assert forgotten.without(again) in {again, ERASED}


def test_what_dagster_and_the_project_keep_among_texts_of_people_stays() -> None:
    """Tags of a run are texts; those that say which day it works on are none."""
    tags = {"why": "w1 asked", "dagster/partition": "w1", ".dagster/repository": "w1", "anomaly_assets/home": "w1"}
    again = Forgotten({"w1"}).without_in({"tags": tags}, frozenset({"tags"}))
    assert again == {"tags": {**tags, "why": ERASED}}
