"""The wallet screen does not wait for the models of many days: some are drawn first, and at last every day's."""

import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from typing import Any

import pytest
from dashboard.conftest import Shown
from evidence.conftest import DAYS
from streamlit.testing.v1 import AppTest

from anomaly_assets.adapters.home import Home
from anomaly_assets.dashboard import wallet_over_time
from anomaly_assets.dashboard.figures.wallet import history, numbers_over_time
from anomaly_assets.dashboard.shell import Deployment
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.views import wallet as views


@pytest.fixture
def look(shown: Shown, home: Home) -> Callable[[], AppTest]:
    """A first look at a wallet over all scored days."""
    address = {"page": "wallet", "wallet": "W000001", "from": str(DAYS[0]), "to": str(DAYS[-1])}
    return partial(shown, home, **address)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[list[date]]:
    """Days whose bands are in the figures of amounts, in the order they are drawn."""
    days: list[list[date]] = []

    def noting(rows: Any, flagged: Any, normal: Sequence[views.NormalOfDay], hour: int) -> Any:
        days.append([each.day for each in normal])
        return history(rows, flagged, normal, hour)

    monkeypatch.setattr(wallet_over_time, "history", noting)
    return days


def figures(test: AppTest) -> list[str]:
    """The figures that are left on a screen, as they were given to the browser."""
    assert not test.exception
    return [each.proto.spec for each in test.get("plotly_chart")]


def test_a_first_look_at_many_days_draws_the_bands_of_some_and_then_of_all(
    look: Callable[[], AppTest], drawn: list[list[date]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wallet_over_time, "FIRST_DAYS", 2)
    test = look()
    assert not test.exception
    assert drawn == [DAYS[1::2], DAYS]
    drawn.clear()
    test.run()
    assert not test.exception
    assert drawn == [DAYS]  # a later run waits for nothing that was drawn before


def test_what_is_left_of_a_first_look_is_what_one_look_at_every_day_shows(
    look: Callable[[], AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = figures(look())
    monkeypatch.setattr(wallet_over_time, "FIRST_DAYS", 1)
    in_steps = figures(look())
    assert in_steps == at_once
    assert len(in_steps) == 5  # amounts, a map and the numbers of either detector
    assert sum(str(DAYS[0]) in figure for figure in in_steps) >= 3


def test_a_few_days_are_drawn_at_once(look: Callable[[], AppTest], drawn: list[list[date]]) -> None:
    look()
    assert drawn == [DAYS]


def test_another_hour_draws_bands_again_and_the_numbers_as_they_were(
    look: Callable[[], AppTest], drawn: list[list[date]], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbered: list[int] = []

    def noting(models: Sequence[views.ModelOfDay], detector: str, detectors: Sequence[str]) -> Any:
        numbered.append(len({each.day for each in models}))
        return numbers_over_time(models, detector, detectors)

    monkeypatch.setattr(wallet_over_time, "numbers_over_time", noting)
    monkeypatch.setattr(wallet_over_time, "FIRST_DAYS", 2)
    test = look()
    assert set(numbered) == {2, len(DAYS)}
    numbered.clear()
    drawn.clear()
    hour = next(each for each in test.select_slider if each.label.startswith("Hour of day"))
    hour.set_value(5 if hour.value == 4 else 4).run()
    assert not test.exception
    assert drawn == [DAYS[1::2], DAYS]
    assert set(numbered) == {len(DAYS)}


def test_what_cannot_be_shown_below_leaves_the_bands_whole(
    look: Callable[[], AppTest], home: Home, drawn: list[list[date]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wallet_over_time, "FIRST_DAYS", 2)
    for seal in (home.lake.require(RAW, day) for day in home.lake.days(RAW)):
        home.lake.path_of(seal, "transactions").write_bytes(b"damaged")
    test = look()
    assert not test.exception
    assert test.error
    assert drawn[-1] == DAYS


def test_models_that_are_forged_are_told_below_the_amounts(look: Callable[[], AppTest], home: Home) -> None:
    views._BANDS.clear()  # of these models, which other tests looked at
    for folder in home.models.root.iterdir():
        if folder.is_dir():
            day = date.fromisoformat(folder.name)
            model_ids = home.models.ids(day)
            home.models.drop_ids(day, model_ids)
            home.models.put(day, [(model_id, b"forged") for model_id in model_ids])
    test = look()
    assert not test.exception
    assert "is not that model" in str(test.error[0].value)
    assert len(figures(test)) == 1


def test_a_store_that_takes_its_time_keeps_the_other_parts_from_nothing(
    look: Callable[[], AppTest], drawn: list[list[date]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, answered = Deployment.served, list[bool]()

    def slow(found: Deployment, wallet: str) -> Any:
        until = time.monotonic() + 30
        while DAYS not in drawn and time.monotonic() < until:
            time.sleep(0.01)
        answered.append(DAYS in drawn)
        return ask(found, wallet)

    monkeypatch.setattr(wallet_over_time, "FIRST_DAYS", 2)
    monkeypatch.setattr(Deployment, "served", slow)
    test = look()
    assert not test.exception
    assert answered == [True]
    assert drawn == [DAYS[1::2], DAYS]
    assert "store start" in " ".join(str(each.value) for each in test.warning).replace("\\", "")
