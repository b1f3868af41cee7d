"""Digests of scored days say what the days say, are made once per content, and are made again when they have to be."""

from dataclasses import replace

import pyarrow.compute as pc
import pytest
from evidence.conftest import DAYS
from views.hand_made import HandMade, Tx

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.algorithms import ALGORITHMS
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.domain.metrics import UNIFIED
from anomaly_assets.domain.settings_record import settings_record
from anomaly_assets.views.agreement import by_set, examples
from anomaly_assets.views.counts import counted, flagged_column
from anomaly_assets.views.digests import PARTS, Digests
from anomaly_assets.views.distribution import distribution
from anomaly_assets.views.selection import Selection


def test_counts_of_a_period_are_those_of_its_metrics(home: Home) -> None:
    digests = Digests(home)
    cells = digests.read("cells", DAYS)
    metrics = digests.metrics(DAYS)
    of_all = metrics.filter(pc.equal(metrics.column("group_kind"), "all"))
    assert set(of_all.column("detector").to_pylist()) == {UNIFIED}
    counts = cells.column("n_rows").to_numpy()
    assert counts.sum() == pc.sum(of_all.column("n_rows")).as_py() > 0
    for column, measured in (("judged", "n_judged"), ("flagged", "n_flagged")):
        some = cells.column(column).to_numpy() > 0
        assert counts[some].sum() == pc.sum(of_all.column(measured)).as_py() > 0


def test_statuses_count_every_row_once_for_each_detector(home: Home) -> None:
    digests = Digests(home)
    statuses = digests.read("statuses", DAYS)
    n_rows = pc.sum(digests.read("cells", DAYS, ["n_rows"]).column("n_rows")).as_py()
    counted = statuses.group_by("detector").aggregate([("n_rows", "sum")]).to_pylist()
    assert {row["n_rows_sum"] for row in counted} == {n_rows}
    assert len(counted) == 2


def test_flags_of_a_period_are_the_flagged_published_rows(home: Home) -> None:
    flags = Digests(home).read("flags", DAYS, ["TX_ID", "reason"]).to_pylist()
    expected = []
    for day in DAYS:
        scored = home.lake.read(home.lake.require(SCORED, day), "scored")
        rows = scored.filter(scored.column("is_anomaly")).to_pylist()
        expected += [{"day": day, "TX_ID": row["TX_ID"], "reason": row["reason"]} for row in rows]
    assert flags == expected
    assert expected


def test_a_digest_is_made_once_and_read_from_then_on(home: Home) -> None:
    digests = Digests(home)
    assert digests.missing(DAYS) == DAYS
    for day in DAYS:
        digests.make(day)
    assert digests.missing(DAYS) == []
    files = {path: path.stat().st_mtime_ns for path in home.digests.rglob("*.digest")}
    assert len(files) == len(DAYS) * len(PARTS)
    for part in PARTS:
        Digests(home).read(part, DAYS)
    assert {path: path.stat().st_mtime_ns for path in home.digests.rglob("*.digest")} == files


def test_a_damaged_digest_is_made_again_from_the_verified_scores(home: Home) -> None:
    before = Digests(home).read("cells", DAYS[:1])
    for path in home.digests.rglob("*-cells.digest"):
        path.write_bytes(path.read_bytes()[:-20])
    assert Digests(home).read("cells", DAYS[:1]).equals(before)


def test_other_scores_of_a_day_take_the_place_of_its_digest(home: Home) -> None:
    digests, (first, second) = Digests(home), DAYS[:2]
    digests.read("flags", [first])
    folder, other = home.lake.folder(SCORED, first), home.lake.require(SCORED, second)
    scored = home.lake.read(other, "scored").slice(0, 5)
    with home.lake.writing(SCORED, first, timeout_seconds=5) as writer:
        writer.commit(writer.stage({"scored": scored}), revision="a" * 64, verdicts=(), settings_id=other.settings_id)
    assert folder.exists()
    assert pc.sum(digests.read("cells", [first]).column("n_rows")).as_py() == 5
    assert len(list((home.digests / str(first)).glob("*.digest"))) == len(PARTS)


def test_a_detector_with_other_bins_has_its_digests_made_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    selection = Selection(tuple(DAYS[:1]))
    Digests(home).read("histograms", selection.days)
    wider = replace(ALGORITHMS["statistical"], bin_width=4 * ALGORITHMS["statistical"].bin_width)
    monkeypatch.setitem(ALGORITHMS, "statistical", wider)
    digests = Digests(home)
    assert digests.missing(selection.days) == [*selection.days]
    scored = home.lake.read(home.lake.require(SCORED, DAYS[0]), "scored")
    rows = [row for row in scored.select(["is_anomaly", "zscore"]).to_pylist() if row["zscore"] is not None]
    bins = distribution(digests, selection, "zscore").to_pylist()
    assert [bar["n_rows"] for bar in bins] == [
        sum(row["is_anomaly"] == bar["is_anomaly"] and bar["low"] <= row["zscore"] < bar["high"] for row in rows)
        for bar in bins
    ]
    assert sum(bar["n_rows"] for bar in bins) == len(rows)
    assert len(list((home.digests / str(DAYS[0])).glob("*.digest"))) == len(PARTS)


def test_each_of_many_detectors_keeps_its_bit_in_a_period_of_other_lists(home: Home) -> None:
    lists = dict(zip(DAYS, ("abcde", "fghij"), strict=False))
    made = HandMade({day: [Tx(flags=letter, judged=names) for letter in names] for day, names in lists.items()})
    for day, names in lists.items():
        made.letters = list(names)
        record = settings_record(window_days=12, amount_scale="none", detectors=made.detectors([day]))
        (home.settings / f"{record.settings_id}.json").write_bytes(record.content + b"\n")
        with home.lake.writing(SCORED, day, timeout_seconds=5) as writer:
            staged = writer.stage({"scored": made.published(day)})
            writer.commit(staged, revision=names * 8, verdicts=(), settings_id=record.settings_id)
    digests, selection = Digests(home), Selection(tuple(lists))
    (together,) = counted(digests, selection, []).to_pylist()
    assert {name: together[flagged_column(name)] for name in "abcdefghij"} == dict.fromkeys("abcdefghij", 1)
    sets = {row["flagged"]: row["n_rows"] for row in by_set(digests, selection).to_pylist()}
    assert {mask: n for mask, n in sets.items() if n} == {1 << bit: 1 for bit in range(10)}
    assert [examples(digests, selection, 1 << bit).num_rows for bit in range(10)] == [1] * 10


def test_a_day_whose_scores_were_changed_gives_an_error_and_no_digest(home: Home) -> None:
    seal = home.lake.require(SCORED, DAYS[0])
    path = home.lake.path_of(seal, "scored")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptFile):
        Digests(home).read("cells", DAYS)
    assert Digests(home).missing(DAYS[:1]) == DAYS[:1]


def test_a_day_without_scores_gives_an_error(home: Home) -> None:
    with pytest.raises(NotSealed):
        Digests(home).read("cells", [DAYS[0].replace(day=1)])
