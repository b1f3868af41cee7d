"""Screens show what the address asks for, keep choices in it, and say what to do when there is nothing."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from dashboard.conftest import APP
from streamlit.testing.v1 import AppTest

from anomaly_assets.adapters.home import Home
from anomaly_assets.dashboard import shell
from anomaly_assets.dashboard.screens.comparison import Steps
from anomaly_assets.views import what_if
from anomaly_assets.views.digests import Digests

PERIOD = {"from": "2024-01-15", "to": "2024-01-18"}


@pytest.fixture(autouse=True)
def looked(untouched: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """The home that the dashboard looks at."""
    monkeypatch.setenv("ANOMALY_HOME", str(untouched.root))
    shell.deployment.clear()
    yield untouched
    shell.deployment.clear()


def shown(name: str, **address: Any) -> AppTest:
    """A screen, drawn for an address."""
    test = AppTest.from_file(str(APP), default_timeout=120)
    for key, value in {"page": name, **PERIOD, **address}.items():
        test.query_params[key] = value
    return test.run()


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("comparison", {}),
        ("comparison", {"part": "examples"}),
        ("comparison", {"part": "scores and thresholds", "zscore_from": "2.5"}),
        ("comparison", {"part": "scores and thresholds", "threshold_of": "anomaly_score"}),
        ("comparison", {"part": "examples", "found_by": "isolation forest only"}),
        ("comparison", {"part": "other settings"}),
        ("distributions", {}),
        ("distributions", {"organisations": "apart", "bars": "count", "log": "yes"}),
        ("timeline", {}),
        ("timeline", {"days": "2024-01-16..2024-01-17", "hour": ["3", "4"], "weekday": "1", "colour": "rate"}),
    ],
)
def test_screens_are_drawn_and_keep_what_the_address_asks_for(name: str, address: dict[str, Any]) -> None:
    test = shown(name, **address)
    assert not test.exception
    assert not test.error
    for key, value in {**PERIOD, **address}.items():
        assert _all(test, key) == (value if isinstance(value, list) else [value])


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("comparison", {"part": "nonsense", "set": ["", "x=y", "statistical.zscore_threshold=x"]}),
        ("comparison", {"part": "scores and thresholds", "zscore_from": "much"}),
        (
            "comparison",
            {"part": "other settings", "day": ["2024-01-99", "x"], "set": "isolation_forest.n_estimators=x"},
        ),
        ("distributions", {"bars": "x", "organisations": "x", "log": "x"}),
        ("timeline", {"days": "x..y", "hour": ["77", "-1", "x"], "weekday": "9", "by": "nobody"}),
    ],
)
def test_what_an_address_names_wrongly_is_left_out_and_told(name: str, address: dict[str, Any]) -> None:
    test = shown(name, **address)
    assert not test.exception
    assert not test.error
    assert [each.value for each in test.warning if "Shown is" in each.value]


@pytest.mark.parametrize(
    ("name", "address", "told"),
    [
        ("nosuch", {}, "There is no page 'nosuch'. Shown is Overview; the pages are overview, comparison,"),
        (
            "overview",
            {"from": "2024-01-18", "to": "2024-01-15"},
            "begins (2024-01-18) after its end (2024-01-15). Shown is 2024-01-15 to 2024-01-18.",
        ),
        (
            "overview",
            {"from": "yesterday"},
            "The address says 'yesterday', which is no day such as 2024-07-01.",
        ),
        ("overview", {"from": "1999-01-01"}, "The period of the address lies far from all days that are scored."),
        ("overview", {"org": "Nobody & Sons"}, "is of 'Nobody & Sons', which the address asks for. Shown is every org"),
        ("distributions", {"bars": "x"}, "The address asks for 'x' under 'Bars show', where there is no such choice."),
        ("timeline", {"hour": ["77", "3"]}, "The address asks for the hour '77', of 0 to 23. Shown is 3."),
        ("timeline", {"days": "a..b"}, "The address looks closer at 'a..b', which are no two days."),
        (
            "wallet",
            {"wallet": "W000001", "day": "2024-13-01"},
            "asks for '2024-13-01' under 'Day whose models are sh",
        ),
        (
            "comparison",
            {"part": "other settings", "set": "statistical.zscore_treshold=4"},
            "changes 'statistical.zscore_treshold', which is no setting of these detectors.",
        ),
        ("comparison", {"part": "other settings", "set": "stricter"}, "changes 'stricter', which is no setting of"),
        *(
            (
                "comparison",
                {"part": "other settings", "set": f"{key}={text}"},
                f"gives '{key}' the value '{text}', which it cannot have.",
            )
            for key, text in (
                ("isolation_forest.contamination", "5"),
                ("isolation_forest.n_estimators", "0"),
                ("isolation_forest.n_estimators", "9" * 20),
                ("statistical.zscore_threshold", "-1"),
                ("statistical.zscore_threshold", "nan"),
                ("statistical.zscore_threshold", "inf"),
                ("statistical.two_sided", "perhaps"),
            )
        ),
        (
            "comparison",
            {"part": "scores and thresholds", "zscore_from": "99999"},
            "asks for the threshold 99999, and scores lie from ",
        ),
    ],
)
def test_a_wrong_address_is_said_once_with_what_is_shown_instead(name: str, address: dict[str, Any], told: str) -> None:
    test = shown(name, **address)
    assert not test.exception
    said = [unmarked(each.value) for each in test.warning]
    assert any(told in each for each in said), said
    test.run()
    kept = {"nosuch"} & {name} or {"hour", "days"} & address.keys()  # stay in the address, so they are still wrong
    assert any(told in unmarked(each.value) for each in test.warning) is bool(kept)


@pytest.mark.parametrize("name", ["overview", "comparison", "distributions", "timeline", "organisations", "operations"])
def test_of_an_address_in_order_nothing_is_said(name: str) -> None:
    said = [each.value for each in shown(name).warning]
    assert [each for each in said if "address" in each or "Shown is" in each] == []


def unmarked(text: str) -> str:
    """Without the backslashes that make marks plain, and without parting spaces."""
    return re.sub(r"\\(.)", r"\1", text).replace("\u200b", "")


def test_days_that_are_not_in_the_period_are_told() -> None:
    test = shown("timeline", days="2023-01-01..2023-01-02")
    assert not test.exception
    assert "None of the days looked at closer is in the period." in [each.value for each in test.info]


def test_all_transactions_of_a_day_are_shown_on_request(looked: Home) -> None:
    test = shown("timeline", days="2024-01-17..2024-01-17")
    assert len(test.dataframe) == 1
    test.toggle(key="all-of-day-shown").set_value(True).run()
    assert not test.exception
    digests = Digests(looked)
    rows = digests.read("cells", [digests.days()[2]]).column("n_rows").to_numpy().sum()
    assert len(test.dataframe[-1].value) == rows


def test_other_settings_are_compared_when_asked_for_and_stand_in_the_address() -> None:
    test = shown("comparison", part="other settings", day="2024-01-18", set="statistical.zscore_threshold=2.0")
    assert [each.label for each in test.metric] == []
    test.button[0].click().run()
    assert not test.exception
    counts = {each.label: int(each.value.replace(",", "")) for each in test.metric}
    assert counts["Flagged now"] == counts["Flagged then"] + counts["Added"] - counts["Removed"]
    assert counts["Added"] > 0
    test.toggle[0].set_value(True).run()
    assert [each.label for each in test.metric] == [], "what was found is of other settings"
    assert "statistical.two_sided=True" in _all(test, "set")


def test_a_two_sided_score_is_told_so_and_a_threshold_of_0_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(what_if, "two_sided_days", lambda digests, selection, measure: list(selection.days)[:1])  # noqa: ARG005
    monkeypatch.setattr(what_if, "threshold_for", lambda *_: 0.0)
    test = shown("comparison", part="scores and thresholds")
    assert not test.exception
    assert test.slider[0].value == 0.0
    assert "Rows at or beyond" in [each.label for each in test.metric]
    assert any("whatever its sign on 1 of the 4 days" in each.value for each in test.caption)


def test_thresholds_are_edges_of_bins() -> None:
    """The score nobody foresaw has bins of 0.05."""
    steps = Steps(low=-1.0, high=1.0, usual=0.5, step=0.15, measure="a_score")
    assert steps.last == pytest.approx(1.1)
    found = [steps.asked(text) for text in ("0.26", "0.22", "-7", "7", "much", "nan", None)]
    assert found == pytest.approx([0.25, 0.2, -1.0, 1.0, 0.5, 0.5, 0.5])


def test_a_choice_is_put_into_the_address_and_the_usual_one_is_not() -> None:
    test = shown("distributions")
    assert set(test.query_params) >= {"from", "to"}
    assert "bars" not in test.query_params
    test.toggle[0].set_value(True).run()
    assert _all(test, "log") == ["yes"]
    test.toggle[0].set_value(False).run()
    assert "log" not in test.query_params


def _all(test: AppTest, name: str) -> list[str]:
    found = test.query_params[name]
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("overview", {}),
        ("operations", {}),
        ("organisations", {}),
        ("comparison", {"part": "examples"}),
    ],
)
def test_a_cell_without_a_value_is_empty(name: str, address: dict[str, str]) -> None:
    """Streamlit writes None there; rows without an organisation are called as in the sidebar."""
    tables = shown(name, **address).dataframe
    assert tables
    assert {(each.proto.HasField("placeholder"), each.proto.placeholder) for each in tables} == {(True, "")}
    named = [each.value["organisation"] for each in tables if "organisation" in each.value.columns]
    assert all(column.notna().all() for column in named)
