"""What the dashboard says when there is nothing to show, or when something is wrong: what it is and what to do."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from evidence.conftest import DAYS
from streamlit.testing.v1 import AppTest

import anomaly_assets
from anomaly_assets.adapters.home import Home
from anomaly_assets.dashboard.shell import deployment, plain
from anomaly_assets.steps.run import SCORED

APP = Path(anomaly_assets.__file__).parent / "dashboard" / "app.py"
Shown = Callable[..., AppTest]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    """Runs the dashboard over a home, with these parameters in the address."""

    def run(home: Home, **parameters: str) -> AppTest:
        monkeypatch.setenv("ANOMALY_HOME", str(home.root))
        deployment.clear()
        test = AppTest.from_file(str(APP), default_timeout=60)
        test.query_params.update(parameters)
        return test.run()

    yield run
    deployment.clear()


def said(test: AppTest) -> str:
    """All texts of a screen."""
    kinds = (test.info, test.warning, test.error, test.success, test.text, test.markdown, test.code, test.caption)
    return "\n".join(str(each.value) for kind in kinds for each in kind)


def test_a_home_without_scored_days_says_how_to_score_some(shown: Shown, tmp_path: Path) -> None:
    test = shown(Home(tmp_path / "home"))
    assert not test.exception
    assert "No day is scored yet" in said(test)
    assert "make demo" in said(test)


def test_a_period_without_scored_days_names_those_that_are(shown: Shown, home: Home) -> None:
    test = shown(home, **{"from": "2023-01-01", "to": "2023-01-05"})
    assert not test.exception
    assert plain(f"{DAYS[0]} to {DAYS[-1]}") in said(test)
    assert "anomaly-assets backfill --from 2023-01-01 --to 2023-01-05" in said(test)


def test_a_changed_file_is_told_with_its_remedy_and_no_figures(shown: Shown, home: Home) -> None:
    path = home.lake.path_of(home.lake.require(SCORED, DAYS[-1]), "scored")
    path.write_bytes(path.read_bytes() + b"x")
    test = shown(home)
    assert not test.exception
    assert "materialize scored\\_transactions" in said(test).replace("scored_transactions", "scored\\_transactions")
    assert not test.metric


def test_settings_that_are_wrong_are_told_by_their_key(
    shown: Shown, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANOMALY_WINDOW__DAYS", "none")
    test = shown(home)
    assert not test.exception
    assert "window" in said(test)


def test_a_store_that_does_not_run_is_a_state_with_its_remedy_and_is_not_started(shown: Shown, home: Home) -> None:
    test = shown(home, page="wallet", wallet="W000001")
    assert not test.exception
    assert plain("anomaly-assets store start") in said(test)
    assert not home.store.exists()


def test_a_transaction_that_was_removed_or_never_was_is_told_so(shown: Shown, home: Home) -> None:
    test = shown(home, tx="no-such-id")
    assert not test.exception
    assert "holds a transaction" in said(test)
