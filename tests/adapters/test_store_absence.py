"""A store that does not answer is waited for once: by several openings, by a backfill of many days."""

from contextlib import nullcontext
from datetime import date
from pathlib import Path

import pytest
from faulty_link import FaultyLink
from published_examples import DAY, HOME, models, publication

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.model_store import ModelStore
from anomaly_assets.adapters.store_absence import FIRST_PAUSE_SECONDS, Absence
from anomaly_assets.adapters.store_connection import RETRIES
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.errors import NotServable, StoreUnavailable
from anomaly_assets.settings import RedisSettings


class Clock:
    """Seconds, as a test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def no_answer() -> None:
    raise StoreUnavailable("no answer")


def used(absence: Absence, *, answers: bool) -> bool:
    """Whether the store was asked; one that was not, or gave no answer, is an error that tells so."""
    asked = []
    with nullcontext() if answers else pytest.raises(StoreUnavailable, match="no answer"), absence.minded():
        asked.append(True)
        if not answers:
            no_answer()
    return bool(asked)


def test_a_store_that_was_away_is_asked_again_after_as_long_as_it_was_away() -> None:
    clock = Clock()
    absence, asked_at = Absence(clock), []
    while clock.now < 24 * 3600:
        if used(absence, answers=False):
            asked_at.append(clock.now)
        clock.now += 20
    minutes = [moment / FIRST_PAUSE_SECONDS for moment in asked_at]
    assert minutes == [2**n - 1 for n in range(len(minutes))], "a day of outage costs few waits"
    assert len(minutes) == 11


def test_a_store_that_is_back_is_used_each_time_and_the_next_absence_begins_anew() -> None:
    clock = Clock()
    absence = Absence(clock)
    for answers in (False, True):
        clock.now += 2 * FIRST_PAUSE_SECONDS
        assert used(absence, answers=answers)
    assert used(absence, answers=True)
    assert used(absence, answers=False)
    clock.now += FIRST_PAUSE_SECONDS
    assert used(absence, answers=False)


def home_in(folder: Path) -> Home:
    home = Home(folder / "home")
    home.root.mkdir()
    home.claim({"kind": "test"}, date(2024, 1, 1))
    return home


def provider(url: str, **more: object) -> StoreProvider:
    return StoreProvider.from_settings(RedisSettings.model_validate({"url": url, "socket_timeout": 0.1, **more}))


@pytest.mark.parametrize("compulsory", [False, True])
def test_a_mute_server_is_waited_for_once_by_all_that_open_it(
    embedded: EmbeddedStore, store_url: str, tmp_path: Path, compulsory: bool
) -> None:
    """Where publishing is compulsory, each attempt is one that may succeed."""
    assert store_url
    home = home_in(tmp_path)
    with FaultyLink(embedded.status().socket, lose_answer=lambda _: True) as link:
        store = provider(link.url(), publication="compulsory" if compulsory else "best_effort")
        counts = []
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="TimeoutError"), store.open(home) as server:
                server.published()
            counts.append(link.connections)
    assert 1 <= counts[0] <= 1 + RETRIES
    assert (counts[2] > counts[1] > counts[0]) if compulsory else (counts[2] == counts[1] == counts[0])


def test_a_server_that_answers_slowly_for_long_is_given_up(embedded: EmbeddedStore, store_url: str) -> None:
    wanted = models(0, 1000)
    with (
        FaultyLink(embedded.status().socket, delay=0.3) as link,
        ModelStore.connect(link.url(), home_id=HOME, socket_timeout=0.4) as slow,
        pytest.raises(StoreUnavailable, match="too slow"),
    ):
        slow.publish(publication(wanted), wanted, now=1.0)
    with ModelStore.connect(store_url, home_id=HOME) as store:
        assert store.read([wanted[0].key], as_of=DAY, generation=1) is None, "it is not complete"


@pytest.mark.parametrize("address", ["http://host", "redis://host:port", "redis://a..b:6379", "redis://host/cards"])
def test_an_address_that_is_none_is_no_absence(address: str, tmp_path: Path) -> None:
    home = home_in(tmp_path)
    store = provider(address)
    for _ in range(2):
        with pytest.raises(NotServable), store.open(home):
            pass
