"""The overview says what the scored rows say, counted another way; and what was usual."""

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from evidence.conftest import DAYS

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.day_figures import Counts
from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.views import overview
from anomaly_assets.views import usual as rules
from anomaly_assets.views.counts import counted
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.overview import flags_of, judgements, not_judged, rates, top, totals
from anomaly_assets.views.selection import Selection
from anomaly_assets.views.usual import USUAL_DAYS, usual

DETECTORS = ("statistical", "isolation_forest")


def rows_of(home: Home, days: list[date], organisations: tuple[str | None, ...] | None = None) -> list[dict]:  # type: ignore[type-arg]
    """The scored rows themselves, each with its day."""
    found = []
    for day in days:
        rows = home.lake.read(home.lake.require(SCORED, day), "scored").to_pylist()
        found += [{**row, "day": day} for row in rows if organisations is None or row["ORG_NAME"] in organisations]
    return found


def is_judged(row: dict) -> bool:  # type: ignore[type-arg]
    return any(row[f"{name}_status"] == "judged" for name in DETECTORS)


def two_organisations(home: Home) -> tuple[str | None, ...]:
    names = Counter(row["ORG_NAME"] for row in rows_of(home, DAYS))
    return (names.most_common()[0][0], names.most_common()[-1][0])


@pytest.mark.parametrize("all_of_them", [True, False])
def test_totals_are_those_of_the_rows(home: Home, all_of_them: bool) -> None:
    organisations = None if all_of_them else two_organisations(home)
    rows = rows_of(home, DAYS[1:], organisations)
    found = totals(Digests(home), Selection(tuple(DAYS[1:]), organisations))
    judged, flagged = sum(map(is_judged, rows)), sum(row["is_anomaly"] for row in rows)
    assert found.total == Counts(len(rows), judged, flagged)
    assert list(found.by_detector) == list(DETECTORS)
    for name, counts in found.by_detector.items():
        by_it = (sum(row[f"{name}_status"] == "judged" for row in rows), sum(row[f"{name}_anomaly"] for row in rows))
        assert counts == Counts(len(rows), *by_it)
    assert (found.total.coverage, found.total.rate) == (judged / len(rows), flagged / judged)


def test_nothing_of_an_organisation_that_is_not_there(home: Home) -> None:
    chosen = Selection(tuple(DAYS), ("nobody",))
    found = totals(Digests(home), chosen)
    assert (found.total.n_rows, found.total.coverage, found.total.rate) == (0, None, None)
    assert judgements(Digests(home), chosen).num_rows == 0
    assert top(Digests(home), chosen, "WALLET_ID", 5).num_rows == 0
    assert flags_of(Digests(home), chosen).num_rows == 0
    per_day = rates(Digests(home), chosen)
    assert per_day.column("n_rows").to_pylist() == [0] * len(DAYS)
    assert per_day.column("rate").to_pylist() == [None] * len(DAYS)


def test_every_reason_not_to_judge_is_counted(home: Home) -> None:
    rows = rows_of(home, DAYS)
    found = judgements(Digests(home), Selection(tuple(DAYS)))
    counted_again = Counter((name, row[f"{name}_status"]) for row in rows for name in DETECTORS)
    shown = {(row["detector"], row["status"]): row["n_rows"] for row in found.to_pylist()}
    assert shown == dict(counted_again)
    assert all(row["share"] == row["n_rows"] / len(rows) for row in found.to_pylist())
    assert list(dict.fromkeys(found.column("detector").to_pylist())) == list(DETECTORS)
    reasons = not_judged(found).column("status").to_pylist()
    assert reasons
    assert DetectorStatus.JUDGED.value not in reasons


def test_a_day_has_its_rate_and_its_coverage(home: Home) -> None:
    found = rates(Digests(home), Selection(tuple(DAYS))).to_pylist()
    assert [row["day"] for row in found] == DAYS
    for row in found:
        rows = rows_of(home, [row["day"]])
        judged, flagged = sum(map(is_judged, rows)), sum(each["is_anomaly"] for each in rows)
        assert (row["n_rows"], row["n_judged"], row["n_flagged"]) == (len(rows), judged, flagged)
        assert (row["rate"], row["coverage"]) == (flagged / judged, judged / len(rows))


def test_the_usual_band_knows_days_before_the_selection_and_not_its_own(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were three days enough for a band: the home has four."""
    monkeypatch.setattr(rules, "FEWEST_DAYS", 3)
    all_days = rates(Digests(home), Selection(tuple(DAYS)))
    assert all_days.column("usual_high").to_pylist()[:3] == [None] * 3
    (last,) = rates(Digests(home), Selection((DAYS[3],))).to_pylist()
    before = all_days.column("rate").to_pylist()[:3]
    low, high = np.quantile(before, [0.1, 0.9])
    assert (last["usual_low"], last["usual_high"]) == (low, high)
    assert last == all_days.to_pylist()[3]


def damage(home: Home, day: date) -> None:
    path = home.lake.path_of(home.lake.require(SCORED, day), "scored")
    path.write_bytes(path.read_bytes()[:-1])


def test_a_day_before_the_period_that_cannot_be_read_is_left_out_of_the_band(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is cut, or its seal is no seal; the day itself is shown as it is. Three days make a band here."""
    monkeypatch.setattr(rules, "FEWEST_DAYS", 3)
    chosen = Selection((DAYS[3],))
    (whole,) = rates(Digests(home), chosen).to_pylist()
    for path in home.digests.rglob("*.parquet"):
        path.unlink()
    damage(home, DAYS[0])
    (home.lake.local_folder(SCORED, DAYS[1]) / "seal.json").write_bytes(b"damaged")
    (found,) = rates(Digests(home), chosen).to_pylist()
    assert whole["usual_low"] is not None
    no_band = {name: None for name in whole if name.startswith("usual_")}
    assert found == {**whole, **no_band}, "one day makes no band"


def test_a_day_of_the_period_that_cannot_be_read_stays_an_error_with_its_remedy(home: Home) -> None:
    damage(home, DAYS[2])
    with pytest.raises(CorruptFile) as error:
        rates(Digests(home), Selection(tuple(DAYS[1:4])))
    assert error.value.remedy


def test_the_usual_band_is_between_the_tenths_of_the_known_rates() -> None:
    known = np.array([0.0, 0.1, np.nan, 0.2, 0.3, 0.4])
    assert usual(known) == pytest.approx((0.04, 0.36))
    assert usual(known[:4]) is None, "three days before make no band"
    assert usual(known[:5]) is not None
    assert usual(np.array([])) is None


def test_the_band_forgets_days_that_are_long_ago(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    """Of 40 days with flags on the first 10 alone, the band of the 39th is made of 28 days without."""
    first = date(2024, 1, 1)
    days = [first + timedelta(days=offset) for offset in range(40)]
    table = pa.table(
        {
            "day": pa.array(days, pa.date32()),
            "n_rows": [100] * 40,
            "n_judged": [50] * 40,
            "n_flagged": [5] * 10 + [0] * 30,
        }
    )
    monkeypatch.setattr(overview, "counted", lambda *_: table)
    digests = Digests(home)
    monkeypatch.setattr(digests, "days", lambda: days)
    found = rates(digests, Selection(tuple(days))).to_pylist()
    assert USUAL_DAYS == 28
    assert found[9]["usual_low"] == found[9]["usual_high"] == 0.1
    assert found[37]["usual_high"] == 0
    assert found[20]["usual_high"] == 0.1


def test_wallets_with_most_flags_come_first(home: Home) -> None:
    flagged = [row for row in rows_of(home, DAYS) if row["is_anomaly"]]
    counts = Counter(row["WALLET_ID"] for row in flagged)
    found = top(Digests(home), Selection(tuple(DAYS)), "WALLET_ID", 3).to_pylist()
    assert [row["n_flagged"] for row in found] == sorted(counts.values(), reverse=True)[:3]
    for row in found:
        own = [each for each in flagged if each["WALLET_ID"] == row["WALLET_ID"]]
        assert row["n_flagged"] == len(own)
        assert row["highest_score"] == max(each["anomaly_score"] for each in own)
        assert row["last_flag"] == max(each["day"] for each in own)


def test_counts_by_day_and_organisation_add_up(home: Home) -> None:
    digests, chosen = Digests(home), Selection(tuple(DAYS))
    apart, whole = counted(digests, chosen, ["day", "org_name"]), counted(digests, chosen, [])
    for name in whole.column_names:
        assert sum(apart.column(name).to_pylist()) == whole.column(name).to_pylist()[0]
    keys = list(zip(apart.column("day").to_pylist(), apart.column("org_name").to_pylist(), strict=True))
    assert len(set(keys)) == len(keys)
    own = Counter((row["day"], row["ORG_NAME"]) for row in rows_of(home, DAYS))
    assert dict(zip(keys, apart.column("n_rows").to_pylist(), strict=True)) == dict(own)
