from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from evidence.conftest import home, proved, untouched  # noqa: F401
from streamlit.testing.v1 import AppTest

import anomaly_assets
from anomaly_assets.adapters.home import Home
from anomaly_assets.dashboard.looks import findings_now, scores_now
from anomaly_assets.dashboard.shell import deployment, families

APP = Path(anomaly_assets.__file__).parent / "dashboard" / "app.py"
Shown = Callable[..., AppTest]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    """Runs the dashboard over a home, with these parameters in the address."""

    def run(home: Home, **parameters: str) -> AppTest:  # noqa: F811
        monkeypatch.setenv("ANOMALY_HOME", str(home.root))
        _forget_looks()
        test = AppTest.from_file(str(APP), default_timeout=60)
        test.query_params.update(parameters)
        return test.run()

    yield run
    _forget_looks()


def _forget_looks() -> None:
    families.clear()
    deployment.clear()
    scores_now.clear()
    findings_now.clear()
