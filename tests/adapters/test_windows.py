"""Windows hold exactly the pinned revisions of the days before D, whatever is current by then."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake_writer import root_of

from anomaly_assets.adapters import partition_files
from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.lake import SEAL_FILE, Lake
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.windows import WindowReader, pin_window
from anomaly_assets.domain.days import trailing_window
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.raw_day import content_digest, wallet_days
from anomaly_assets.domain.schema import TRANSACTIONS
from anomaly_assets.domain.verdicts import Verdict
from anomaly_assets.domain.wallet_rows import WalletRows

RAW = "raw_transactions"
DAY = date(2024, 3, 10)
FIRST = date(2024, 3, 1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", tmp_path / "locks")


def raw_day(day: date, amounts: dict[str, list[float]]) -> pa.Table:
    """A raw day: per wallet its amounts, one each hour from midnight on."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    rows = [
        {
            "tx_id": f"{wallet}-{hour}",
            "wallet_id": wallet,
            "tx_completed_at": start + timedelta(hours=hour),
            "total_amount": amount,
        }
        for wallet, values in sorted(amounts.items())
        for hour, amount in enumerate(values)
    ]
    return pa.Table.from_pylist(rows, schema=TRANSACTIONS.arrow)


def ingest(lake: Lake, day: date, amounts: dict[str, list[float]]) -> Seal:
    kept = raw_day(day, amounts)
    with lake.writing(RAW, day, timeout_seconds=0) as writer:
        staged = writer.stage({"transactions": kept, "wallets": wallet_days(kept)})
        return writer.commit(staged, revision=content_digest(kept), verdicts=[Verdict("schema", True, "fits")])[0]


def pinned(lake: Lake, days: int = 180) -> WindowManifest:
    return pin_window(lake, RAW, DAY, trailing_window(DAY, days, FIRST))


def read(lake: Lake, manifest: WindowManifest) -> tuple[WalletRows, list[str]]:
    return WindowReader(lake, RAW, Compute(threads=2)).rows_and_digests(manifest)


def test_a_window_holds_the_days_before_d_and_nothing_of_d_or_later(lake: Lake) -> None:
    for offset in range(-9, 3):
        day = DAY + timedelta(days=offset)
        ingest(lake, day, {"a": [float(offset)], f"only {day}": [7.0]})
    rows, digests = read(lake, pinned(lake))
    assert rows.amounts[rows.offsets[0] : rows.offsets[1]].tolist() == [float(offset) for offset in range(-9, 0)]
    assert rows.wallet_ids == ["a", *(f"only {DAY + timedelta(days=offset)}" for offset in range(-9, 0))]
    assert len(digests) == rows.n_wallets == 10


def test_one_wallet_is_read_without_the_others_and_told_by_its_digest(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_files, "SMALL_ROW_GROUP", 2)
    for offset in range(-9, 0, 2):
        ingest(lake, DAY + timedelta(days=offset), {"a": [1.0, 2.0], "b": [float(offset)] * 2, "c": [5.0]})
    reader, manifest = WindowReader(lake, RAW, Compute(threads=2)), pinned(lake)
    rows, digests = read(lake, manifest)
    seal = lake.require(RAW, DAY - timedelta(days=1))
    path = lake.path_of(seal, "transactions")
    with pq.ParquetFile(path) as file:
        column = file.metadata.row_group(0).column(1)
        start = column.dictionary_page_offset or column.data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(content)
    found = reader.rows_of_wallet(manifest, "b")
    assert found is not None
    assert found[1] == digests[1]
    np.testing.assert_array_equal(found[0].amounts, rows.select([1]).amounts)
    assert reader.rows_of_wallet(manifest, "a") is None, "its row group is damaged"
    with pytest.raises(CorruptFile):
        lake.read(seal, "transactions")


def test_rows_of_a_wallet_that_were_changed_have_another_digest(lake: Lake) -> None:
    ingest(lake, FIRST, {"a": [1.0, 2.0], "b": [3.0]})
    reader, manifest = WindowReader(lake, RAW, Compute()), pinned(lake)
    before, path = reader.rows_of_wallet(manifest, "b"), lake.path_of(lake.require(RAW, FIRST), "transactions")
    partition_files.write_table(raw_day(FIRST, {"a": [1.0, 2.0], "b": [4.0]}), path, "transactions")
    after = reader.rows_of_wallet(manifest, "b")
    assert before is not None
    assert after is not None
    assert before[1] != after[1]
    path.unlink()
    assert reader.rows_of_wallet(manifest, "b") is None


def test_a_shorter_window_starts_later(lake: Lake) -> None:
    for offset in range(-9, 0):
        ingest(lake, DAY + timedelta(days=offset), {"a": [float(offset)]})
    rows, _ = read(lake, pinned(lake, days=3))
    assert rows.amounts.tolist() == [-3.0, -2.0, -1.0]


def test_days_without_a_good_seal_are_missing_and_named(lake: Lake) -> None:
    for offset in (-9, -8, -7, -6, -5):
        ingest(lake, DAY + timedelta(days=offset), {"a": [float(offset)]})
    damaged = lake.local_folder(RAW, DAY - timedelta(days=7)) / SEAL_FILE
    damaged.write_bytes(damaged.read_bytes()[:-20])
    manifest = pinned(lake)
    assert manifest.missing == [DAY + timedelta(days=offset) for offset in (-7, -4, -3, -2, -1)]
    rows, _ = read(lake, manifest)
    assert rows.amounts.tolist() == [-9.0, -8.0, -6.0, -5.0]


def test_an_empty_window_has_no_wallets(lake: Lake) -> None:
    rows, digests = read(lake, pinned(lake))
    assert (rows.n_rows, rows.n_wallets, digests) == (0, 0, [])
    ingest(lake, FIRST, {})
    rows, digests = read(lake, pinned(lake))
    assert (rows.n_rows, rows.n_wallets, digests) == (0, 0, [])


def test_a_pinned_window_keeps_its_revisions_after_a_correction(lake: Lake) -> None:
    ingest(lake, FIRST, {"a": [1.0], "b": [1.0]})
    before = pinned(lake)
    ingest(lake, FIRST, {"a": [2.0], "b": [1.0]})
    after = pinned(lake)
    (old, old_digests), (new, new_digests) = (read(lake, manifest) for manifest in (before, after))
    assert old.amounts.tolist() == [1.0, 1.0]
    assert new.amounts.tolist() == [2.0, 1.0]
    assert old_digests[0] != new_digests[0], "the corrected wallet has other rows"
    assert old_digests[1] == new_digests[1], "the other wallet has the same rows"
    assert before.manifest_id != after.manifest_id


def test_digests_belong_to_the_wallets_of_the_rows(lake: Lake) -> None:
    names = ["é", "a", "Z", "b\N{PILE OF POO}", "b\uffff"]
    ingest(lake, FIRST, {name: [float(n)] for n, name in enumerate(names)})
    ingest(lake, FIRST + timedelta(days=1), {name: [float(n)] for n, name in enumerate(names[:2])})
    rows, digests = read(lake, pinned(lake))
    assert [name.encode() for name in rows.wallet_ids] == sorted(name.encode() for name in names)
    for wallet, digest in zip(rows.wallet_ids, digests, strict=True):
        alone = Lake(root_of(lake) / "alone" / str(names.index(wallet)), lake.locks / "alone")
        value = float(names.index(wallet))
        ingest(alone, FIRST, {wallet: [value]})
        if wallet in names[:2]:
            ingest(alone, FIRST + timedelta(days=1), {wallet: [value]})
        assert read(alone, pinned(alone))[1] == [digest]


@pytest.mark.parametrize("role", ["transactions", "wallets"])
def test_a_pinned_day_whose_bytes_were_changed_is_refused(lake: Lake, role: str) -> None:
    seal = ingest(lake, FIRST, {"a": [1.0]})
    path = lake.path_of(seal, role)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CorruptFile, match=f"{RAW}/{FIRST}/{role}"):
        read(lake, pinned(lake))


def test_a_pinned_revision_that_is_gone_is_refused(lake: Lake) -> None:
    manifest = pin_window(lake, RAW, DAY, trailing_window(DAY, 180, FIRST))
    gone = WindowManifest(manifest.day, manifest.days, {**manifest.revisions, FIRST: "0" * 64})
    with pytest.raises(NotSealed, match=f"{RAW} of {FIRST} revision {'0' * 64} has no seal"):
        read(lake, gone)


def test_reading_twice_gives_the_same_and_reads_no_day_again(lake: Lake) -> None:
    seal = ingest(lake, FIRST, {"a": [1.0, 2.0]})
    first, first_digests = read(lake, pinned(lake))
    lake.path_of(seal, "transactions").rename(root_of(lake) / "away")
    again, again_digests = read(lake, pinned(lake))
    assert np.array_equal(first.amounts, again.amounts)
    assert first_digests == again_digests
