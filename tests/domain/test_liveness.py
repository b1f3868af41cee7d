"""A run is dead when its heartbeat has not changed for a minute, or never came, by the clock of who looks."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from anomaly_assets.domain.liveness import NEVER_HEARD_FOR, SILENT_FOR, Heard, listen

NOW = datetime(2024, 3, 5, tzinfo=UTC)


def test_a_run_that_beats_lives_and_one_that_stopped_is_dead_after_a_minute() -> None:
    heard, dead = listen({"alive": 1, "gone": 7, "never began": None}, {}, NOW)
    assert dead == []
    heard, dead = listen({"alive": 2, "gone": 7, "never began": None}, heard, NOW + timedelta(seconds=59))
    assert dead == []
    heard, dead = listen({"alive": 3, "gone": 7, "never began": None}, heard, NOW + SILENT_FOR)
    assert dead == ["gone"]
    heard, dead = listen({"alive": 4, "never began": None}, heard, NOW + NEVER_HEARD_FOR - timedelta(seconds=1))
    assert dead == []
    heard, dead = listen({"alive": 5, "never began": None}, heard, NOW + NEVER_HEARD_FOR)
    assert dead == ["never began"]
    assert heard == {"alive": Heard(5, NOW + NEVER_HEARD_FOR, NOW + NEVER_HEARD_FOR)}


def test_who_looks_after_a_long_pause_begins_again() -> None:
    """The machine may have slept: a run that is alive beats within seconds, and so it must be given a minute."""
    heard, _ = listen({"a": 1}, {}, NOW)
    later = NOW + timedelta(hours=10)
    heard, dead = listen({"a": 1}, heard, later)
    assert dead == []
    heard, dead = listen({"a": 1}, heard, later + timedelta(seconds=30))
    assert dead == []
    assert listen({"a": 1}, heard, later + SILENT_FOR)[1] == ["a"]


@given(
    beats=st.lists(st.integers(0, 3) | st.none(), min_size=1, max_size=12),
    pauses=st.lists(st.integers(1, 90), min_size=12, max_size=12),
)
def test_it_is_dead_exactly_when_all_looks_of_that_time_saw_the_same_beat(
    beats: list[int | None], pauses: list[int]
) -> None:
    heard: dict[str, Heard] = {}
    looks: list[tuple[int | None, datetime]] = []
    now = NOW
    for beat, pause in zip(beats, pauses, strict=False):
        looks.append((beat, now))
        heard, dead = listen({"run": beat}, heard, now)
        same = [at for seen, at in reversed(looks)]
        for place, (seen, _) in enumerate(reversed(looks)):
            if seen != beat:
                same = same[:place]
                break
        assert dead == (["run"] if now - same[-1] >= (NEVER_HEARD_FOR if beat is None else SILENT_FOR) else [])
        if dead:
            looks = []
        now += timedelta(seconds=pause)
