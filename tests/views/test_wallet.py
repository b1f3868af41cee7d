"""One wallet's rows, windows and models are those of the partitions, whatever the other wallets do."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from evidence.conftest import DAYS

from anomaly_assets.adapters import partition_files
from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.detectors import in_order
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.lineage import MODELS, SCORED, WINDOW
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.explain import explain
from anomaly_assets.views import wallet as views
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.of_wallet import WalletReader


def busiest(home: Home) -> str:
    """A wallet with models of both detectors and flags."""
    flags = Digests(home).read("flags", DAYS).to_pylist()
    counted = views.wallets_matching(home, "", 5)
    return next(wallet for wallet, _ in counted if any(row["WALLET_ID"] == wallet for row in flags))


def test_rows_of_a_wallet_are_exactly_its_published_rows_by_day(home: Home) -> None:
    wallet, reader = busiest(home), WalletReader(home, threads=2)
    detectors = Case.of(home, DAYS[0]).detectors
    found = views.scored_rows(reader, detectors, wallet, DAYS)
    expected = []
    for day in DAYS:
        table = home.lake.read(home.lake.require(SCORED, day), "scored")
        expected += table.filter(pc.equal(table.column("WALLET_ID"), wallet)).column("TX_ID").to_pylist()
    assert found.column("TX_ID").to_pylist() == expected
    assert len(set(found.column("day").to_pylist())) > 1
    assert found.equals(views.scored_rows(WalletReader(home), detectors, wallet, list(reversed(DAYS))))
    points = views.points(reader, wallet, DAYS)
    assert points.select(["TX_COMPLETED_AT", "TOTAL_AMOUNT"]).equals(found.select(["TX_COMPLETED_AT", "TOTAL_AMOUNT"]))
    of_last = [row["TX_ID"] for row in found.to_pylist() if row["day"] == DAYS[-1]]
    assert [views.tx_id_at(reader, wallet, DAYS[-1], place) for place in range(len(of_last))] == of_last
    flagged = views.flagged_rows(Digests(home), wallet, DAYS)
    assert flagged.column("TX_ID").to_pylist() == [row["TX_ID"] for row in found.to_pylist() if row["is_anomaly"]]


def test_a_wallet_nobody_knows_has_no_rows_and_no_models(home: Home) -> None:
    assert views.points(WalletReader(home), "nobody", DAYS).num_rows == 0
    assert views.models(WalletReader(home), "nobody", DAYS) == []
    assert views.windows(WalletReader(home), "nobody", DAYS).num_rows == 0
    assert views.difference(WalletReader(home), "nobody", DAYS[0], DAYS[1]).num_rows == 0


def test_days_that_are_not_sealed_are_left_out_and_damaged_ones_are_an_error(home: Home) -> None:
    columns = ("TX_ID",)
    days = [DAYS[0].replace(day=1), *DAYS]
    found = WalletReader(home).rows(SCORED, "scored", "W000001", days, columns=columns, wallet_column="WALLET_ID")
    assert set(found.column("day").to_pylist()) <= set(DAYS)
    path = home.lake.path_of(home.lake.require(SCORED, DAYS[1]), "scored")
    path.write_bytes(b"no parquet")
    with pytest.raises(CorruptFile):
        WalletReader(home).rows(SCORED, "scored", "W000001", days, columns=columns, wallet_column="WALLET_ID")
    path.unlink()
    with pytest.raises(CorruptFile):
        WalletReader(home).rows(SCORED, "scored", "W000001", days, columns=columns, wallet_column="WALLET_ID")


def test_a_search_finds_wallets_by_a_part_of_their_id_those_with_most_rows_first(home: Home) -> None:
    seal = home.lake.require(WINDOW, DAYS[-1])
    counts = {row["wallet_id"]: row["n_transactions"] for row in home.lake.read(seal, "wallets").to_pylist()}
    found = views.wallets_matching(home, "w00001", 100)
    assert dict(found) == {wallet: count for wallet, count in counts.items() if "W00001" in wallet}
    assert [count for _, count in found] == sorted((count for _, count in found), reverse=True)
    assert len(views.wallets_matching(home, "", 3)) == 3
    assert views.wallets_matching(home, "(", 3) == []


def in_order_of_publication(models: pa.Table) -> list[str]:
    """Ids of the models of one wallet."""
    ids = dict(zip(models.column("detector").to_pylist(), models.column("model_id").to_pylist(), strict=True))
    return [ids[name] for name in in_order(ids)]


def test_models_and_what_they_let_pass_are_those_that_explain_a_flag(home: Home) -> None:
    wallet, digests = busiest(home), Digests(home)
    row = next(row for row in digests.read("flags", DAYS).to_pylist() if row["WALLET_ID"] == wallet)
    case = Case.of(home, row["day"])
    explained = explain(case, row["TX_ID"])
    listed = views.models(WalletReader(home), wallet, [row["day"]])
    seal = home.lake.require(MODELS, row["day"])
    table = home.lake.read(seal, "models")
    own = table.filter(pc.equal(table.column("wallet_id"), wallet))
    assert [each.model_id for each in listed] == in_order_of_publication(own)
    known = views.payloads(home, listed)
    normal = views.normal_over_time(home, listed, lambda _: case.detectors, explained.hour)
    assert [each.bands for each in normal] == [explained.normal]
    maps = views.normal_map(known, listed, case.detectors)
    assert maps == {each.detector: each.normal_by_hour for each in explained.detectors if each.normal_by_hour}
    hours, amounts = views.window_points(WalletReader(home), wallet, row["day"])
    assert sorted(amounts) == sorted(explained.history.amounts)
    assert sorted(hours.astype(int)) == sorted(explained.history.hours)


def test_a_payload_that_is_not_kept_leaves_its_day_without_a_band(home: Home) -> None:
    wallet = busiest(home)
    listed = views.models(WalletReader(home), wallet, DAYS)
    assert len(listed) > len(DAYS)
    for pack in home.models.root.rglob("*.parquet"):
        pack.unlink()
    assert views.payloads(home, listed) == {}
    views._BANDS.clear()  # of these models, which other tests looked at
    detectors = Case.of(home, DAYS[0]).detectors
    normal = views.normal_over_time(home, listed, lambda _: detectors, 12)
    assert [each.bands for each in normal] == [None] * len({each.day for each in listed})


def test_a_wallet_is_eligible_since_the_first_day_whose_history_sufficed() -> None:
    days = pa.array(DAYS, pa.date32())
    late = pa.table({"day": days, "statistical_eligible": [False, False, True, True]})
    never = pa.table({"day": days, "statistical_eligible": [False] * 4})
    assert views.first_eligible(late, ["statistical"]) == {"statistical": DAYS[2]}
    assert views.first_eligible(never, ["statistical"]) == {"statistical": None}


def test_the_difference_of_two_days_names_what_differs_and_what_does_not(home: Home) -> None:
    wallet = busiest(home)
    rows = {row["what"]: row for row in views.difference(WalletReader(home), wallet, DAYS[0], DAYS[-1]).to_pylist()}
    seals = [home.lake.require(WINDOW, day) for day in (DAYS[0], DAYS[-1])]
    tables = [home.lake.read(seal, "wallets") for seal in seals]
    counts = [
        table.filter(pc.equal(table.column("wallet_id"), wallet)).column("n_transactions").to_pylist()[0]
        for table in tables
    ]
    shown = rows["window: n transactions"]
    assert [shown[str(DAYS[0])], shown[str(DAYS[-1])]] == [f"{count:,}" for count in counts]
    assert shown["differs"] == ("yes" if counts[0] != counts[1] else "")
    same = views.difference(WalletReader(home), wallet, DAYS[0], DAYS[0])
    assert set(same.column("differs").to_pylist()) == {""}


def test_a_day_on_which_one_of_two_models_is_kept_has_no_band_of_both(home: Home) -> None:
    wallet = busiest(home)
    listed = views.models(WalletReader(home), wallet, DAYS[:1])
    assert len(listed) == 2
    detectors = Case.of(home, DAYS[0]).detectors
    views._BANDS.clear()
    home.models.drop_ids(DAYS[0], {listed[0].model_id})
    (normal,) = views.normal_over_time(home, listed, lambda _: detectors, 12)
    assert normal.bands is None
    assert list(normal.by_detector) == [listed[1].detector]


def test_a_flag_line_is_drawn_with_the_settings_of_its_day(home: Home) -> None:
    wallet = busiest(home)
    listed = [each for each in views.models(WalletReader(home), wallet, DAYS[:2]) if each.detector == "statistical"]
    strict, lenient = StatisticalDetector(zscore_threshold=1.0), StatisticalDetector(zscore_threshold=9.0)
    of_day = {DAYS[0]: [strict], DAYS[1]: [lenient]}
    first, second = views.normal_over_time(home, listed, of_day.__getitem__, 12)
    assert first.bands
    assert second.bands
    assert first.bands[0][1] < second.bands[0][1]


def test_a_wallet_is_read_without_most_others(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage where other wallets lie is ``verify``'s to find: nothing of it is read here."""
    monkeypatch.setattr(partition_files, "SMALL_ROW_GROUP", 16)
    lake, day = home.lake, DAYS[0]
    table = lake.read(lake.require(SCORED, day), "scored")
    wallet = max(table.column("WALLET_ID").to_pylist())
    path = lake.path_of(lake.require(SCORED, day), "scored")
    before = views.points(WalletReader(home), wallet, [day])
    partition_files.write_table(table, path, "scored")
    with pq.ParquetFile(path) as file:
        column = file.metadata.row_group(0).column(file.schema_arrow.get_field_index("WALLET_ID"))
        assert column.statistics.max < wallet
        start = column.dictionary_page_offset or column.data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(content)
    assert views.points(WalletReader(home), wallet, [day]).equals(before)
    with pytest.raises(CorruptFile):
        lake.read(lake.require(SCORED, day), "scored")


def test_what_is_eligible_at_last_is_looked_for_in_all_windows(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    wallet, detectors = busiest(home), [each.name for each in Case.of(home, DAYS[0]).detectors]
    days = home.lake.days(WINDOW)
    whole = views.first_eligible(views.windows(WalletReader(home), wallet, days), detectors)
    assert set(whole.values()) != {None}
    for at_once in (1, 2, len(days)):
        monkeypatch.setattr(views, "READ_AT_ONCE", at_once)
        assert views.eligible_since(WalletReader(home), wallet, detectors) == whole
    assert set(views.eligible_since(WalletReader(home), "nobody", detectors).values()) == {None}


def test_models_are_found_on_whichever_of_their_days_they_are_archived(home: Home) -> None:
    """A model that stays the same is listed on many days and stored on the first of them."""
    table = home.lake.read(home.lake.require(MODELS, DAYS[0]), "models")
    wallets = sorted(set(table.column("wallet_id").to_pylist()))
    reader, idle = WalletReader(home), 0
    for wallet in wallets:
        listed = views.models(reader, wallet, DAYS)
        known = views.payloads(home, listed)
        assert known.keys() == {each.model_id for each in listed}
        idle += len(known) < len(listed)
    assert idle > 0, "some model stays the same over days"
