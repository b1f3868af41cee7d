"""A day that could not be read is never taken as unchanged."""

from datetime import date

import pytest

from anomaly_assets.domain.lateness import DayFacts, decide

DAY = date(2024, 3, 1)


@pytest.mark.parametrize(
    ("stored", "now", "verdict"),
    [
        ((5, "x"), (5, "x"), ""),
        ((5, "x"), (6, "y"), "changed"),
        ((5, "x"), (5, "y"), "changed"),
        ((5, "x"), (6, "x"), "changed"),
        ((0, ""), (1, "x"), "changed"),
        ((1, "x"), (0, ""), "changed"),
        ((5, "x"), None, "unread"),
        (None, None, "not_stored"),
        (None, (5, "x"), "not_stored"),
        (None, (0, ""), "not_stored"),
    ],
)
def test_a_day_is_unchanged_or_exactly_one_other_thing(
    stored: tuple[int, str] | None, now: tuple[int, str] | None, verdict: str
) -> None:
    decision = decide([DayFacts(DAY, stored, now)])
    found = [name for name in ("changed", "unread", "not_stored") if getattr(decision, name)]
    assert found == ([verdict] if verdict else [])


def test_days_keep_their_order() -> None:
    facts = [DayFacts(date(2024, 3, day), (1, "x"), (2, "y")) for day in (3, 1, 2)]
    assert decide(facts).changed == tuple(facts)
