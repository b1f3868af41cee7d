"""Overview, organisations and operations: they show what the views say, and are never in the way of a broken home."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from evidence.conftest import DAYS, EVIDENCE
from streamlit.testing.v1 import AppTest

from anomaly_assets.adapters.erasures import ErasedWallet
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.publication import PublicationState, Published
from anomaly_assets.adapters.store_pending import UnservedModels
from anomaly_assets.adapters.verification_log import verifications
from anomaly_assets.dashboard import looks, shell
from anomaly_assets.dashboard import newest_flags as newest
from anomaly_assets.dashboard.figures.operations import calendar, pass_rate_over_time, proofs_over_time, refused_rows
from anomaly_assets.dashboard.figures.organisations import funnel, intervals
from anomaly_assets.dashboard.figures.overview import judged_or_why_not, rate_over_time, rows_over_time
from anomaly_assets.dashboard.screens import operations, overview
from anomaly_assets.dashboard.shell import plain
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED
from anomaly_assets.settings import load_settings
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.organisations import UNKNOWN, limits, peers
from anomaly_assets.views.overview import flags_of, judgements, newest_flags, rates, totals
from anomaly_assets.views.partitions import partition_states
from anomaly_assets.views.quarantine import REASONS
from anomaly_assets.views.selection import Selection
from anomaly_assets.views.store import StoreState
from anomaly_assets.views.verified import pass_rates

Open = Callable[..., AppTest]


def _run(name: str) -> None:
    """What ``app.py`` does, for one screen."""
    import streamlit as st

    from anomaly_assets.dashboard.screens import SCREENS
    from anomaly_assets.dashboard.shell import guarded

    st.session_state["pages"] = {each: st.Page(screen.show, url_path=each) for each, screen in SCREENS.items()}
    with guarded():
        SCREENS[name].show()


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Shows a screen over a home, with what stands in the address."""

    def open_screen(name: str, home: Home, **address: str) -> AppTest:
        for key, value in {**EVIDENCE, "ANOMALY_HOME": str(home.root)}.items():
            monkeypatch.setenv(key, value)
        screen = AppTest.from_function(_run, kwargs={"name": name}, default_timeout=60)
        for key, value in address.items():
            screen.query_params[key.rstrip("_")] = value
        return screen.run()

    _forget()
    yield open_screen
    _forget()


def _forget() -> None:
    for kept in (shell.deployment, looks.store_now, looks.scores_now, looks.days_now):
        kept.clear()


def metrics_of(screen: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in screen.metric}


def text_of(screen: AppTest) -> str:
    kinds = (screen.info, screen.warning, screen.success, screen.error, screen.code, screen.caption, screen.markdown)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def test_the_overview_shows_the_totals_of_the_period(home: Home, show: Open) -> None:
    screen = show("overview", home, from_=str(DAYS[1]), to=str(DAYS[2]))
    assert not screen.exception
    found, shown = totals(Digests(home), Selection((DAYS[1], DAYS[2]))), metrics_of(screen)
    assert shown["Transactions"] == f"{found.total.n_rows:,}"
    assert shown["Flagged"] == f"{found.total.n_flagged:,}"
    assert shown["By isolation forest"] == f"{found.by_detector['isolation_forest'].n_flagged:,}"
    assert "serves no models now" in text_of(screen)
    assert "anomaly-assets store start" in text_of(screen)
    assert not home.store.exists()


def test_the_overview_begins_with_the_flags_of_the_newest_day_and_their_reasons(home: Home, show: Open) -> None:
    screen = show("overview", home, from_=str(DAYS[1]), to=str(DAYS[2]))
    assert not screen.exception
    assert [header.value for header in screen.subheader][:2] == [f"Flags of {DAYS[2]}", "The period"]
    flags = newest_flags(flags_of(Digests(home), Selection((DAYS[1], DAYS[2]))), newest.SHOWN).to_pylist()
    assert flags
    assert {row["day"] for row in flags} == {DAYS[2]}
    shown = [each.value for each in screen.markdown]
    places = [shown.index(f":small[{shell.plain(row['reason'])}]") for row in flags]
    assert places == sorted(places)


def test_a_newest_day_without_flags_says_so_and_shows_the_day_before(
    home: Home, show: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = flags_of(Digests(home), Selection(tuple(DAYS)))
    before = everything.filter(pc.less(everything.column("day"), DAYS[-1]))
    monkeypatch.setattr(overview, "flags_of", lambda *_: before)
    screen = show("overview", home)
    assert not screen.exception
    assert next(header.value for header in screen.subheader) == f"Flags of {DAYS[-1]}"
    day = max(before.column("day").to_pylist())
    assert f"The newest flags of the period are of {day}:" in text_of(screen)
    monkeypatch.setattr(overview, "flags_of", lambda *_: everything.slice(0, 0))
    assert "Nothing was flagged in this period." in text_of(show("overview", home))


def test_one_organisation_in_the_address_is_shown_in_detail(home: Home, show: Open) -> None:
    found = peers(Digests(home), Selection(tuple(DAYS)))
    name = next(each for each in found.column("org_name").to_pylist() if each is not None)
    screen = show("organisations", home, org=name)
    assert not screen.exception
    assert [header.value for header in screen.header] == [shell.plain(name)]
    alone = totals(Digests(home), Selection(tuple(DAYS), (name,)))
    assert metrics_of(screen)["Transactions"] == f"{alone.total.n_rows:,}"


def test_rows_without_an_organisation_are_one_in_the_address_too(home: Home, show: Open) -> None:
    everybody = peers(Digests(home), Selection(tuple(DAYS))).column("org_name").to_pylist()
    screen = show("organisations", home, org=shell.WITHOUT_ORGANISATION)
    assert not screen.exception
    names = [shell.plain(shell.WITHOUT_ORGANISATION)] if None in everybody else []
    assert [header.value for header in screen.header] == names


def test_operations_of_a_home_in_order(home: Home, show: Open) -> None:
    screen = show("operations", home, from_=str(DAYS[0]), to=str(DAYS[-1]))
    assert not screen.exception
    assert metrics_of(screen)["Sealed"] == str(5 * len(DAYS))
    told = text_of(screen)
    assert "Every day of the period is there" in told
    assert "embedded store does not run" in told
    assert "Nothing was verified yet" in told
    assert "No wallet was erased" in told
    assert not home.store.exists()
    assert verifications(home) == []


def test_operations_list_the_erasures_with_who_asked_and_why(home: Home, show: Open) -> None:
    """One that was done, and one that was begun and is not in the log."""
    wallets = [
        ErasedWallet(home.erasures.mark_of("wallet", name), {}, request={"by": name, "reason": "<b>", "ticket": "T-1"})
        for name in ("first", "second")
    ]
    for wallet in wallets:
        home.erasures.write(wallet)
    done = wallets[0]
    entry = {"asset": "erasure", "wallet": done.mark, "record": done.record_id, "partitions": {}}
    home.log.append({**entry, "request": done.request}, run_id="erase", at=datetime(2024, 2, 1, tzinfo=UTC))
    screen = show("operations", home, from_=str(DAYS[0]), to=str(DAYS[-1]))
    assert not screen.exception
    assert "1 of 2 are open: erase the wallet again" in text_of(screen)
    [shown] = [each.value for each in screen.dataframe if "ticket" in each.value]
    assert shown[["by", "reason", "ticket", "state"]].values.tolist() == [
        ["second", "<b>", "T-1", "unfinished"],
        ["first", "<b>", "T-1", "done"],
    ]


def test_operations_show_what_the_model_store_is_still_to_be_told(home: Home, show: Open) -> None:
    home.store_pending.keep_models(UnservedModels(DAYS[-1], 1, "no answer", "2024-02-01T00:00:00+00:00"))
    home.store_pending.keep_erasure("a" * 64)
    told = text_of(show("operations", home, from_=str(DAYS[0]), to=str(DAYS[-1])))
    assert "could not be served" in told
    assert plain("erased wallets that are to be taken out of it yet: 1") in told
    assert "anomaly-assets store publish" in told


def test_operations_show_what_is_wrong_and_what_to_do(home: Home, show: Open) -> None:
    (home.lake.local_folder(SCORED, DAYS[-1]) / "seal.json").write_bytes(b"damaged")
    shutil.rmtree(home.lake.local_folder(RAW, DAYS[0]))
    screen = show("operations", home, from_=str(DAYS[0]), to=str(DAYS[-1]))
    assert not screen.exception
    shown = metrics_of(screen)
    assert (shown["Missing"], shown["Damaged"]) == ("1", "1")
    assert "anomaly-assets stale --rematerialize" in text_of(screen)


def test_served_models_that_cannot_be_read_are_told_so(home: Home, show: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads that the files hold another training."""
    seal = home.lake.require(MODELS, DAYS[-1])
    published = Published(DAYS[-1], seal.generation or 0, "manifest", "settings", 3, PublicationState.COMPLETE)
    state = StoreState("server", "The store serves models.", answers=True, published=published, n_models=3)
    monkeypatch.setattr(operations, "store_now", lambda: state)
    path = home.lake.path_of(seal, "models")
    path.write_bytes(path.read_bytes()[:-1])
    screen = show("operations", home, from_=str(DAYS[0]), to=str(DAYS[-1]))
    assert not screen.exception
    assert any("models" in each.value for each in screen.error)
    assert "that training" not in text_of(screen)
    assert "Nothing was verified yet" in text_of(screen), "other sections are there"


def test_days_without_metrics_are_told_beside_what_others_say_of_wallet_sizes(home: Home, show: Open) -> None:
    everything = show("comparison", home, from_=str(DAYS[0]), to=str(DAYS[-1]))
    assert "days have metrics" not in text_of(everything)
    shutil.rmtree(home.lake.local_folder(METRICS, DAYS[1]))
    screen = show("comparison", home, from_=str(DAYS[0]), to=str(DAYS[-1]))
    assert not screen.exception
    assert f"{len(DAYS) - 1} of {len(DAYS)} days have metrics" in text_of(screen)


@pytest.mark.parametrize("name", ["overview", "organisations", "operations"])
def test_an_empty_home_says_what_to_do(tmp_path: Path, show: Open, name: str) -> None:
    screen = show(name, Home(tmp_path / "home"))
    assert not screen.exception
    assert "anomaly-assets backfill" in text_of(screen)


def axes_of(figure: go.Figure) -> dict[str, str]:
    layout: dict[str, Any] = figure.to_plotly_json()["layout"]
    return {name: value["title"]["text"] for name, value in layout.items() if name[1:].startswith("axis")}


@pytest.fixture
def figures(home: Home, monkeypatch: pytest.MonkeyPatch) -> dict[str, go.Figure]:
    """Every figure of the three screens."""
    for key, value in EVIDENCE.items():
        monkeypatch.setenv(key, value)
    digests, chosen = Digests(home), Selection(tuple(DAYS))
    per_day, found = rates(digests, chosen), peers(digests, chosen)
    named = found.filter(pc.is_valid(found.column("org_name")))
    period = DayRange(DAYS[0], DAYS[-1])
    reasons = pa.Table.from_pylist([{"day": DAYS[0], "reason": "missing_tx_id", "n_rows": 2}], schema=REASONS)
    return {
        "rate": rate_over_time(per_day),
        "rows": rows_over_time(per_day),
        "judgements": judged_or_why_not(judgements(digests, chosen)),
        "funnel": funnel(found, limits(found), []),
        "intervals": intervals(named),
        "calendar": calendar(partition_states(home, period, load_settings(None).detection.settings_ids, OURS)),
        "refused": refused_rows(reasons, DAYS[0], DAYS[-1]),
        "pass rate": pass_rate_over_time(pass_rates([])),
        "proofs": proofs_over_time(pass_rates([])),
    }


def test_every_axis_has_a_name(figures: dict[str, go.Figure]) -> None:
    for name, figure in figures.items():
        axes = axes_of(figure)
        assert {"xaxis", "yaxis"} <= set(axes), name
        assert all(axes.values()), name


def test_no_figure_brings_a_ground_of_its_own(figures: dict[str, go.Figure]) -> None:
    """They are read on light and on dark ground."""
    for name, figure in figures.items():
        drawn = figure.to_plotly_json()["layout"]
        assert not {"paper_bgcolor", "plot_bgcolor"} & set(drawn), name


def test_a_field_of_the_calendar_stands_in_the_trace_of_its_state() -> None:
    days = [date(2024, 1, 1), date(2024, 1, 2)]
    states = pa.table({"day": pa.array(days), "asset": ["a", "a"], "state": ["sealed", "missing"], "because": ["", ""]})
    shown = {trace.name: [list(row) for row in trace.z] for trace in calendar(states).data}
    assert shown == {"sealed": [[1, None]], "missing": [[None, 1]]}


def test_an_only_organisation_is_drawn_and_compared_with_nobody() -> None:
    """Its dot is no grey one of those within a band, and no rate of others is told."""
    found = pa.table(
        {
            "org_name": ["A", "B"],
            "n_judged": [10, 0],
            "n_flagged": [5, 0],
            **{name: pa.array([0.5, None], pa.float64()) for name in ("rate", "low", "high")},
            "others_rate": pa.array([None, None], pa.float64()),
            "standing": [UNKNOWN, UNKNOWN],
        }
    )
    dots = {trace.name: list(trace.x) for trace in funnel(found, limits(found), []).data if trace.mode == "markers"}
    assert dots == {UNKNOWN: [10]}
    (details,) = funnel(found, limits(found), []).data[-1].customdata
    assert details[-1] == "unknown"


HOSTILE = "<b>x</b>![i](https://elsewhere.example/i.png) :red[y]"


def test_a_name_full_of_marks_is_text_in_every_figure() -> None:
    peers = pa.table(
        {
            "org_name": [HOSTILE],
            **{name: [0.5] for name in ("rate", "low", "high", "others_rate")},
            "n_judged": [10],
            "standing": ["like the others"],
        }
    )
    limits = pa.table({name: [0.5] for name in ("n_judged", "low", "high", "rate")})
    drawn = str(intervals(peers).to_plotly_json()) + str(funnel(peers, limits, [HOSTILE]).to_plotly_json())
    assert "&lt;b&gt;x" in drawn
    assert "<b>x" not in drawn
