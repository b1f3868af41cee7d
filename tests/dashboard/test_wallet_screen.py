"""The wallet screen does not wait for the models of many days: some are drawn first, and at last every day's."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from evidence.conftest import DAYS
from streamlit.testing.v1 import AppTest

import anomaly_assets
from anomaly_assets.adapters.home import Home
from anomaly_assets.dashboard import wallet_over_time
from anomaly_assets.dashboard.figures.wallet import history
from anomaly_assets.dashboard.shell import deployment
from anomaly_assets.views import wallet as views

APP = Path(anomaly_assets.__file__).parent / "dashboard" / "app.py"


@pytest.fixture
def look(untouched: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], AppTest]]:
    """A first look at a wallet over all scored days."""
    monkeypatch.setenv("ANOMALY_HOME", str(untouched.root))
    deployment.clear()

    def run() -> AppTest:
        test = AppTest.from_file(str(APP), default_timeout=60)
        test.query_params.update({"page": "wallet", "wallet": "W000001", "from": str(DAYS[0]), "to": str(DAYS[-1])})
        return test.run()

    yield run
    deployment.clear()


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
