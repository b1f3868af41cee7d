"""A home whose list of detectors changes twice: pages over all its days count each detector where it judged."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from compat.test_frozen_dashboard import forget, opened

from anomaly_assets.cli import main
from anomaly_assets.dashboard.figures.timeline import flags_by_day, flags_by_hour
from anomaly_assets.dashboard.screens import SCREENS
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.published import anomaly_column
from anomaly_assets.evidence.compare import compare_days
from anomaly_assets.views import agreement, counts, distribution, overview, timeline, wallet
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.exports import to_csv
from anomaly_assets.views.of_wallet import WalletReader
from anomaly_assets.views.selection import Selection
from graph.deployment import Deploy, Deployment, source_of
from graph.invented import BUSY, DAY, FIRST, WINDOW_DAYS, days_from, deliver, extra, ordinary_day

STATISTICAL, FOREST = "statistical", "isolation_forest"
LISTS = dict(zip(days_from(DAY, 3), ([FOREST], [STATISTICAL, FOREST], [STATISTICAL]), strict=True))
"""The first bit of the first day is the second bit of the period."""
DAYS = tuple(LISTS)
EAGER = {"isolation_forest.contamination": 0.3, "statistical.zscore_threshold": 0.8}
"""So that some rows are flagged by both."""
SELECTION = Selection(DAYS)


@pytest.fixture
def mixed(deploy: Deploy, short_folder: Path) -> Deployment:
    """Three scored days, each by another list, each with a burst in a wallet that had none before."""
    folder = short_folder / "files"
    for day in days_from(FIRST, WINDOW_DAYS + 3):
        surprise = [extra(day, BUSY[DAYS.index(day)], 5000.0)] if day in DAYS else []
        deliver(folder, day, [*ordinary_day(day), *surprise])
    made = deploy(**source_of(folder), detectors=LISTS[DAY], **EAGER)
    made.ingest(*days_from(FIRST, WINDOW_DAYS + 3))
    for day, listed in LISTS.items():
        made = deploy(beside=made, **source_of(folder), detectors=listed, **EAGER)
        made.detect(day)
    return made


@pytest.fixture
def published(mixed: Deployment) -> dict[date, pa.Table]:
    """The published rows of each day."""
    return {day: mixed.published(day) for day in DAYS}


def flagged_by(row: dict[str, object]) -> frozenset[str]:
    return frozenset(name for name in (STATISTICAL, FOREST) if row.get(anomaly_column(name)))


def test_views_over_all_days_go_by_names(mixed: Deployment, published: dict[date, pa.Table]) -> None:
    digests = Digests(mixed.home)
    rows = [row | {"day": day} for day, table in published.items() for row in table.to_pylist()]
    sets = Counter(flagged_by(row) for row in rows)
    assert min(sets[frozenset({FOREST})], sets[frozenset({STATISTICAL, FOREST})], sets[frozenset({STATISTICAL})]) > 0
    assert counts.detector_names(digests, DAYS) == [STATISTICAL, FOREST]

    (together,) = counts.counted(digests, SELECTION, []).to_pylist()
    assert together["n_flagged"] == sum(row["is_anomaly"] for row in rows)
    for name in (STATISTICAL, FOREST):
        assert together[counts.flagged_column(name)] == sum(name in flagged_by(row) for row in rows)
    figures = overview.totals(digests, SELECTION)
    assert figures.total.n_flagged == together["n_flagged"]
    assert figures.by_detector[STATISTICAL].n_judged == sum(row.get("zscore") is not None for row in rows)

    by_set = {row["flagged"]: row["n_rows"] for row in agreement.by_set(digests, SELECTION).to_pylist()}
    names = [STATISTICAL, FOREST]
    assert {frozenset(agreement.members(names, mask)): n for mask, n in by_set.items()} == {
        names_of: sets[names_of] for names_of in map(frozenset, ([STATISTICAL], [FOREST], names))
    }
    for mask in by_set:
        found = agreement.examples(digests, SELECTION, mask).column("TX_ID").to_pylist()
        wanted = [row["TX_ID"] for row in rows if flagged_by(row) == frozenset(agreement.members(names, mask))]
        assert sorted(found) == sorted(wanted)
    per_day = agreement.agreement_over_time(digests, SELECTION).column("agreement").to_pylist()
    assert [share is None for share in per_day] == [True, False, True], "one detector agrees with nobody"

    of_two = sets[frozenset(names)] / sum(row["is_anomaly"] for row in rows if row["day"] == DAYS[1])
    assert agreement.agreement_of_all(digests, SELECTION) == of_two == per_day[1], "that of the day that has two"

    focus = timeline.Focus(detector=FOREST)
    wanted = [row["TX_ID"] for row in rows if FOREST in flagged_by(row)]
    assert sorted(timeline.flagged_rows(digests, SELECTION, focus).column("TX_ID").to_pylist()) == sorted(wanted)
    assert distribution.score_columns(digests, SELECTION) == {
        "zscore": STATISTICAL,
        "isolation_forest_score": FOREST,
    }
    n_scores = distribution.distribution(digests, SELECTION, "zscore").column("n_rows").to_pylist()
    assert sum(n_scores) == sum(row.get("zscore") is not None for row in rows)
    deciles = agreement.by_decile(digests, SELECTION).to_pylist()
    assert {row["detector"] for row in deciles} == {"unified", STATISTICAL, FOREST}
    of_day = agreement.by_decile(digests, Selection(DAYS[1:2])).to_pylist()
    agreed = {row["decile"]: row["agreement"] for row in of_day if row["agreement"] is not None}
    assert (
        agreed.items() <= {row["decile"]: row["agreement"] for row in deciles if row["detector"] == "unified"}.items()
    )
    exported = wallet.scored_rows(WalletReader(mixed.home), digests.detectors(DAYS), BUSY[0], DAYS).to_pylist()
    of_wallet = [row for row in rows if row["WALLET_ID"] == BUSY[0]]
    assert exported == [{name: row.get(name) for name in exported[0]} for row in of_wallet]
    assert {"zscore", "isolation_forest_score"} <= exported[0].keys()
    flags = overview.flags_of(digests, SELECTION)
    assert flags.column(anomaly_column(FOREST)).null_count == sum(
        row["is_anomaly"] for row in rows if row["day"] == DAYS[2]
    )
    assert to_csv(flags).decode().count("\n") == flags.num_rows + 1


def test_other_settings_are_compared_on_the_days_that_their_detectors_judged(mixed: Deployment) -> None:
    first, _, last = DAYS
    period = ["compare", "--from", str(first), "--to", str(last), "--set"]
    for change, left_out in (("isolation_forest.contamination=0.01", last), ("statistical.zscore_threshold=5", first)):
        done = CliRunner().invoke(main, [*period, change, "--json"], env={"ANOMALY_HOME": str(mixed.home.root)})
        found = json.loads(done.stdout)
        assert found["days"] == [str(day) for day in DAYS if day != left_out]
        assert found["days_left_out"] == [str(left_out)]
        told = CliRunner().invoke(main, [*period, change], env={"ANOMALY_HOME": str(mixed.home.root)})
        assert f"1 days are left out, the first is {left_out}" in told.stderr
    key, value = "isolation_forest.contamination", "0.01"
    with pytest.raises(SettingsError, match="choose days that isolation_forest judged"):
        compare_days(mixed.home, [last], {key: value})


@pytest.fixture
def dashboard(mixed: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The dashboard's screens over the home."""
    monkeypatch.setenv("ANOMALY_HOME", str(mixed.home.root))
    forget()
    yield
    forget()


@pytest.mark.usefixtures("dashboard")
def test_every_screen_opens_over_all_days(published: dict[date, pa.Table]) -> None:
    for name in SCREENS:
        opened(page=name, **{"from": str(DAYS[0]), "to": str(DAYS[-1])})
    for day, table in published.items():
        row = next(row for row in table.to_pylist() if row["is_anomaly"])
        opened(tx=row["TX_ID"], day=str(day))
        opened(wallet=row["WALLET_ID"], **{"from": str(DAYS[0]), "to": str(DAYS[-1])})
    asked = {"part": "other settings", "set": "statistical.zscore_threshold=5.0"}
    screen = opened(page="comparison", **asked, **{"from": str(DAYS[0]), "to": str(DAYS[-1])})
    screen.button[0].click().run()
    assert [each.value for each in screen.warning if "Left out" in each.value] == [
        f"Left out, as a detector whose settings are changed did not judge them: {DAYS[0]}."
    ]


def test_nothing_is_counted_of_a_detector_on_days_that_it_did_not_judge(
    mixed: Deployment, published: dict[date, pa.Table]
) -> None:
    over_time = timeline.flags_over_time(Digests(mixed.home), SELECTION)
    counts_of = {(row["at"], row["detector"]): row["n_flagged"] for row in over_time.to_pylist()}
    for day, table in published.items():
        for name in (STATISTICAL, FOREST):
            flags = sum(table.column(anomaly_column(name)).to_pylist()) if name in LISTS[day] else None
            assert counts_of[day, name] == flags
    lines = {each.name: each for each in flags_by_day(over_time, (STATISTICAL, FOREST), chosen=None).data}
    assert [count is None for count in lines["isolation forest"].y] == [False, False, True]
    hourly = timeline.flags_over_time(Digests(mixed.home), SELECTION, hourly=True)
    assert len(flags_by_hour(hourly, (STATISTICAL, FOREST)).data) == 3


@pytest.mark.usefixtures("dashboard", "published")
def test_other_settings_of_every_detector_of_the_period_can_be_asked_for() -> None:
    """Whoever judges the last day."""
    period = {"from": str(DAYS[0]), "to": str(DAYS[-1])}
    address = {"page": "comparison", "part": "other settings", "set": "isolation_forest.contamination=0.1"}
    screen = opened(**address, **period)
    assert not screen.warning
    next(each for each in screen.button if each.label == "Compare").click().run()
    assert not screen.error
    assert "Flagged now" in [each.label for each in screen.metric]


@pytest.mark.usefixtures("dashboard", "published")
def test_rows_a_day_are_of_the_days_that_have_the_score() -> None:
    period = {"from": str(DAYS[0]), "to": str(DAYS[-1])}
    address = {"page": "comparison", "part": "scores and thresholds", "threshold_of": "isolation_forest_score"}
    figures = {each.label: each.value for each in opened(**address, **period).metric}
    assert float(figures["A day"]) == float(figures["Rows at or above"]) / 2 > 0


@pytest.mark.usefixtures("dashboard", "published")
def test_a_wallet_is_shown_by_every_detector_of_the_period() -> None:
    """Whoever judges the last day: since when, numbers of models, and what the store serves now."""
    screen = opened(wallet=BUSY[0], **{"from": str(DAYS[0]), "to": str(DAYS[-1])})
    since = {each.label: each.value for each in screen.metric if each.label.endswith("since")}
    assert since == {"isolation forest since": f"≤ {DAYS[0]}", "statistical since": f"≤ {DAYS[1]}"}
    assert [each.label for each in screen.tabs] == ["statistical", "isolation forest"]
    screen = opened(wallet=BUSY[0], **{"from": str(DAYS[0]), "to": str(DAYS[0])})
    assert [each.label for each in screen.tabs] == ["isolation forest"]
    served = screen.dataframe[-1].value
    assert served["detector"].tolist() == ["statistical"]
