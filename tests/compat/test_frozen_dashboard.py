"""Every screen of the dashboard opens over a home of an earlier release."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import anomaly_assets
from anomaly_assets.dashboard import looks, shell
from anomaly_assets.dashboard.screens import SCREENS
from compat.frozen import Frozen

APP = Path(anomaly_assets.__file__).parent / "dashboard" / "app.py"
FLAGGED = "**Flagged**: "


@pytest.fixture(autouse=True)
def _of_this_home(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ANOMALY_CONFIG", str(frozen.folder / "anomaly.yaml"))
    monkeypatch.setenv("ANOMALY_SOURCE__COMPLETE_UNTIL", str(max(frozen.days("scored"))))  # no later day is due
    forget()
    yield
    forget()


def forget() -> None:
    """What screens keep of the deployment that they were opened over."""
    for kept in (shell.deployment, looks.store_now, looks.scores_now, looks.days_now):
        kept.clear()


def opened(**address: str) -> AppTest:
    """A screen, by what stands in the address; no box in it is an error, but the one that says why a row is flagged."""
    screen = AppTest.from_file(str(APP), default_timeout=60)
    screen.query_params.update(address)
    screen.run()
    assert [each.value for each in screen.exception] == []
    assert [each.value for each in screen.error if not each.value.startswith(FLAGGED)] == []
    return screen


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_opens_over_all_scored_days(frozen: Frozen, name: str) -> None:
    days = frozen.facts["scored"]
    screen = opened(page=name, **{"from": days[0], "to": days[-1]})
    assert screen.title or screen.header or screen.subheader


def test_flags_of_the_first_and_the_last_day_and_a_wallet_open(frozen: Frozen) -> None:
    explained = [told["json"] for command, told in frozen.known["answers"].items() if command.startswith("explain ")]
    flagged = sorted((told for told in explained if told["verdict"]["is_anomaly"]), key=lambda told: str(told["day"]))
    for told in (flagged[0], flagged[-1]):
        reason = shell.plain(told["verdict"]["reason"])
        assert [each.value for each in opened(tx=told["tx_id"]).error] == [f"{FLAGGED}{reason}"]
    opened(wallet=flagged[-1]["transaction"]["wallet_id"])


def test_looking_starts_no_store(frozen: Frozen) -> None:
    opened(page="operations")
    assert not frozen.store.embedded(frozen.home).status().running
