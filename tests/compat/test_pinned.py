"""Ids, digests, sentences and names of hand-made inputs are those that were pinned once: all of them moving is seen."""

import json
from typing import Any

import pytest

from compat.pinned import TOPICS, computed, pinned, with_new_keys

ADD = "PYTHONPATH=tests python -m compat.pinned adds it"


@pytest.mark.parametrize("topic", TOPICS)
def test_what_was_pinned_is_computed_again(topic: str) -> None:
    """Every key, with its type: 1, 1.0 and true are three values."""
    before, now = pinned()[topic], computed(topic)
    assert {key: _text(now.get(key)) for key in before} == {key: _text(value) for key, value in before.items()}
    assert now.keys() == before.keys(), f"a key is not pinned yet: {ADD}"


def test_every_pinned_topic_is_computed() -> None:
    assert pinned().keys() == TOPICS.keys()


def test_a_key_that_is_new_is_added_and_none_is_ever_changed() -> None:
    before = {"a": {"x": 1}}
    assert with_new_keys(before, {"a": {"x": 1, "y": 2}, "b": {"z": 3}}) == {"a": {"x": 1, "y": 2}, "b": {"z": 3}}
    others: list[dict[str, dict[str, int]]] = [{"a": {"x": 2}}, {"a": {}}]
    for changed in others:
        with pytest.raises(ValueError, match="a: x"):
            with_new_keys(before, changed)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
