"""What the dashboard says when there is nothing to show, or when something is wrong: what it is and what to do."""

from datetime import timedelta
from pathlib import Path

import pytest
from cli.conftest import Shell
from dashboard.conftest import Shown
from evidence.conftest import DAYS, EVIDENCE
from streamlit.testing.v1 import AppTest

from anomaly_assets.adapters.home import Home
from anomaly_assets.dashboard.screens import SCREENS, flag
from anomaly_assets.dashboard.shell import plain
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.evidence.lookup import Place
from anomaly_assets.evidence.traced import Trace, UnscoredDay
from anomaly_assets.reports.flag_report import flag_page


def said(test: AppTest) -> str:
    """All texts of a screen."""
    kinds = (test.info, test.warning, test.error, test.success, test.text, test.markdown, test.code, test.caption)
    return "\n".join(str(each.value) for kind in kinds for each in kind)


def addressed(test: AppTest, name: str) -> list[str]:
    """What the address holds under a name."""
    found = test.query_params[name]
    return [found] if isinstance(found, str) else list(found)


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
    told = said(test)
    assert "holds a transaction" in told
    assert "*Refused rows* on the page *Operations*" in told
    assert "--" not in told, "an option of a command answers nothing on a page"


def test_a_transaction_that_a_correction_removed_is_told_with_the_whole_command_that_follows_it(
    shown: Shown, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the trace tells it, whose remedy names options."""
    place = Place(DAYS[0], in_raw=False, in_scores=False, earlier_raw=("cd34",))
    traced = UnscoredDay(place, ("ab12",), "a correction removed it; trace it with --day")
    tx_id = home.lake.read(home.lake.require(SCORED, DAYS[0]), "scored").column("TX_ID")[0].as_py()
    monkeypatch.setattr(flag, "trace", lambda *_, **__: Trace(tx_id, [traced]))
    test = shown(home, tx=tx_id)
    assert not test.exception
    [warning] = [each.value.replace("\\", "") for each in test.warning]
    assert warning.endswith("a correction of the raw day removed it, and scores that hold it are kept")
    commands = [each.value for each in test.code]
    assert f"anomaly-assets trace --day {DAYS[0]} --revision ab12 {tx_id}" in commands
    page = flag_page(Trace(tx_id, [traced]), None, None)
    assert "trace it with" not in page
    assert f"anomaly-assets trace --day {DAYS[0]} --revision ab12" in page


def test_a_detector_that_looked_and_did_not_flag_is_called_so_beside_one_that_did(shown: Shown, home: Home) -> None:
    """On the page, in the trace and in the file for an auditor; the status that is recorded is no verdict."""
    rows = home.lake.read(home.lake.require(SCORED, DAYS[-1]), "scored").to_pylist()
    judged = [row for row in rows if {row["statistical_status"], row["isolation_forest_status"]} == {"judged"}]
    row = next(row for row in judged if row["isolation_forest_anomaly"] and not row["statistical_anomaly"])
    test = shown(home, tx=row["TX_ID"])
    assert not test.exception
    words = [each.value for each in test.markdown if each.value.startswith(("**statist", "**isolat"))]
    assert words == ["**statistical**: not flagged", "**isolation forest**: :red[flagged]"]
    traced = Shell(home.root.parent).run("trace", row["TX_ID"], **EVIDENCE).stdout
    assert "statistical: not flagged, score" in traced
    assert "isolation_forest: flagged, score" in traced
    assert "judged" not in traced


def test_every_one_of_several_choices_in_a_row_is_taken(shown: Shown, home: Home) -> None:
    test = shown(home, **{"from": str(DAYS[0]), "to": str(DAYS[-1])})
    names = list(test.sidebar.multiselect[0].options)
    for count in (1, 2, 3):
        test.sidebar.multiselect[0].set_value(names[:count]).run()
        assert test.sidebar.multiselect[0].value == names[:count]
        assert addressed(test, "org") == names[:count]
    for last in (DAYS[2], DAYS[1], DAYS[3]):
        test.sidebar.date_input[0].set_value((DAYS[0], last)).run()
        assert test.sidebar.date_input[0].value == (DAYS[0], last)
        assert addressed(test, "to") == [str(last)]
    assert not test.exception


def test_the_day_of_a_wallet_s_models_is_the_one_chosen_last(shown: Shown, home: Home) -> None:
    test = shown(home, page="wallet", wallet="W000001", day=str(DAYS[1]))
    days = [box for box in test.selectbox if box.label == "Day whose models are shown"]
    assert days[0].value == DAYS[1]
    for day in (DAYS[2], DAYS[0], DAYS[3]):
        next(box for box in test.selectbox if box.label == "Day whose models are shown").set_value(day).run()
        assert next(box for box in test.selectbox if box.label == "Day whose models are shown").value == day
        assert addressed(test, "day") == [str(day)]


@pytest.mark.parametrize(
    "parameters",
    [
        {"page": "operations", "to": "9999-12-31"},
        {"page": "operations", "from": "0001-01-01"},
        {"page": "timeline", "days": "0001-01-01..9999-12-31"},
        {"page": "timeline", "hour": "9" * 5000},
        {"page": "timeline", "from": "9999-12-31", "to": "0001-01-01"},
        {"page": "wallet", "wallet": "W000001", "hour": "-1", "day": "0000"},
        {"page": "nowhere", "tx": ""},
    ],
)
def test_no_address_ends_in_an_exception(shown: Shown, home: Home, parameters: dict[str, str]) -> None:
    assert not shown(home, **parameters).exception


def test_a_day_that_is_due_and_missing_is_the_first_thing_that_every_screen_says(
    shown: Shown, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = DAYS[-1] + timedelta(days=731)
    monkeypatch.setenv("ANOMALY_SOURCE__COMPLETE_UNTIL", str(due))
    for name in SCREENS:
        test = shown(home, page=name)
        assert not test.exception
        told = plain(f"Scored up to {DAYS[-1]}, 731 days behind {due}: the data is complete until {due}.")
        assert test.error[0].value == told, name
        assert f"anomaly-assets backfill --from {DAYS[-1] + timedelta(days=1)} --to {due}" in said(test)
    behind = next(table.value for table in shown(home).dataframe if "days_behind" in table.value)
    assert set(behind["days_behind"].dropna()) == {731}
    everything = shown(home, page="operations")
    assert not [each.value for each in everything.success if "Every day" in each.value]
    assert next(each.value for each in everything.metric if each.label == "Missing") != "0"


def test_the_operations_page_says_what_doctor_finds_wrong_with_files(shown: Shown, home: Home) -> None:
    home.published_path(DAYS[-1]).write_bytes(b"changed")
    told = shown(home, page="operations").error[0].value
    name = home.published_path(DAYS[-1]).name
    assert told.startswith(plain(f"evidence: {name}, the published file of {DAYS[-1]}, has 7 bytes"))


def test_where_no_day_is_due_no_screen_says_fresh_or_behind(shown: Shown, home: Home) -> None:
    test = shown(home)
    assert not test.error
    assert "No day is due: no schedule brings days." in said(test)
    table = next(table.value for table in test.dataframe if "days_behind" in table.value)
    assert table["days_behind"].isna().all()
    assert plain("no day is due: no schedule brings days") in said(shown(home, page="operations"))


def test_the_due_day_that_is_there_is_said_and_nothing_is_red(
    shown: Shown, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANOMALY_SOURCE__COMPLETE_UNTIL", str(DAYS[-1]))
    test = shown(home)
    assert not test.error
    assert f"{DAYS[-1]} was due, and is there." in said(test)
