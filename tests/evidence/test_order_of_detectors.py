"""Everything that names the detectors has them in one order, that of the published columns."""

import re
from itertools import pairwise
from typing import Any

import pytest
from cli.conftest import Shell
from dashboard.conftest import APP
from streamlit.testing.v1 import AppTest

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.publication import PublicationState, Published
from anomaly_assets.assets.graph import Graph
from anomaly_assets.assets.wallet_models import describe_models
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.dashboard.shell import deployment
from anomaly_assets.domain.detectors import DETECTORS, in_order
from anomaly_assets.domain.lineage import MODELS, SCORED
from anomaly_assets.domain.published import anomaly_column
from anomaly_assets.partitions import daily_partitions, trailing_window_mapping
from anomaly_assets.steps.run import Outcome
from anomaly_assets.views.of_wallet import WalletReader
from anomaly_assets.views.store import served_models
from anomaly_assets.views.wallet import models
from evidence.conftest import DAYS, EVIDENCE

NAMES = list(DETECTORS)
_NAMED = re.compile("|".join(name.replace("_", "[_ ]") for name in NAMES))


@pytest.fixture
def shell(untouched: Home) -> Shell:
    return Shell(untouched.root.parent)


@pytest.fixture
def flag(untouched: Home) -> dict[str, Any]:
    """A transaction that every detector flagged, or that one did where there is none."""
    rows = untouched.lake.read(untouched.lake.require(SCORED, DAYS[-1]), "scored").to_pylist()
    found: dict[str, Any] = max(rows, key=lambda row: sum(row[anomaly_column(name)] for name in NAMES))
    return found


def first_places(text: str) -> list[str]:
    """Names of detectors in a text, by where each stands first."""
    return list(dict.fromkeys(found[0].replace(" ", "_") for found in _NAMED.finditer(text)))


def test_the_order_is_that_of_the_published_columns() -> None:
    assert NAMES == ["statistical", "isolation_forest"]
    assert in_order(["zeta", "isolation_forest", "alpha", "statistical", "statistical"]) == [*NAMES, "alpha", "zeta"]


@pytest.mark.parametrize("arguments", [("report",), ("report", "--json"), ("trace",), ("explain",)])
def test_commands_have_it(shell: Shell, flag: dict[str, Any], arguments: tuple[str, ...]) -> None:
    command, *options = arguments
    about = () if command == "report" else (flag["TX_ID"],)
    assert first_places(shell.run(command, *about, *options, **EVIDENCE).stdout) == NAMES


@pytest.mark.parametrize("arguments", [("report",), ("explain",)])
def test_pages_that_stand_alone_have_it(shell: Shell, flag: dict[str, Any], arguments: tuple[str, ...]) -> None:
    command, path = arguments[0], shell.folder / "page.html"
    shell.run(*arguments, *(() if command == "report" else (flag["TX_ID"],)), "--html", str(path), **EVIDENCE)
    text = path.read_text(encoding="utf-8")
    path.unlink()
    headings = [first_places(each) for each in re.findall(r"<h2>Detector: ([^<]*)</h2>", text)]
    rows = [first_places(each) for each in re.findall(r"<tr><td>([^<]*)</td>", text)]
    assert [names for names in headings or rows if names] == [[name] for name in NAMES]


def test_screens_of_the_dashboard_have_it(
    untouched: Home, flag: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANOMALY_HOME", str(untouched.root))
    addresses = [
        {"page": "overview"},
        {"page": "comparison"},
        {"page": "organisations"},
        {"tx": flag["TX_ID"]},
        {"wallet": flag["WALLET_ID"]},
    ]
    for address in addresses:
        deployment.clear()
        test = AppTest.from_file(str(APP), default_timeout=120)
        test.query_params.update(address)
        test.run()
        assert not test.exception
        labels = [each.label for kind in (test.metric, test.expander, test.tabs) for each in kind]
        labels += [" ".join(map(str, frame.value.columns)) for frame in test.dataframe]
        shown = [first_places(text) for text in (*labels, *(each.value for each in test.markdown))]
        apart = [names[0] for names in shown if len(names) == 1]
        assert apart[:1] in ([], NAMES[:1]), address
        assert {*NAMES} <= {name for names in shown for name in names}, address
        assert all(in_order(names) == names for names in shown), address
    deployment.clear()


def test_models_of_a_wallet_and_of_the_store_have_it(untouched: Home, flag: dict[str, Any]) -> None:
    listed = models(WalletReader(untouched), flag["WALLET_ID"], DAYS)
    assert {each.detector for each in listed} == {*NAMES}
    for one, next_one in pairwise(listed):
        assert (one.day, NAMES.index(one.detector)) < (next_one.day, NAMES.index(next_one.detector))
    seal = untouched.lake.require(MODELS, DAYS[-1])
    published = Published(DAYS[-1], seal.generation or 0, "m", "s", 3, PublicationState.COMPLETE)
    served = served_models(untouched, published)
    assert served is not None
    assert served.column("detector").to_pylist() == NAMES


def test_the_page_of_a_day_s_models_in_dagster_has_it(untouched: Home) -> None:
    seal = untouched.lake.require(MODELS, DAYS[-1])
    table = untouched.lake.read(seal, "models")
    numbers = {"models": table.num_rows, "payload_bytes": 1, "generation": 1}
    outcome = Outcome(seal, changed=True, verdicts=(), tables={"models": table}, numbers=numbers)
    partitions = daily_partitions(DAYS[0]), trailing_window_mapping(12)
    graph = Graph(*partitions, "http://127.0.0.1:8501", DagsterNames(), owners=())
    shown = describe_models(graph, outcome)
    assert [key.removeprefix("models: ") for key in shown if key.startswith("models: ")] == NAMES
    rows = [line for line in shown["preview"].value.splitlines() if "statistical" in line or "isolation" in line]
    wallets = table.slice(0, 2).column("wallet_id").to_pylist()
    assert wallets[0] == wallets[1], "the first wallet has both"
    assert [first_places(line) for line in rows[:2]] == [[name] for name in NAMES]
