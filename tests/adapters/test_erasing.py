"""Erasing from one partition: every revision loses the wallet and nothing else, and the seals stay."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lake_writer import ASSET, DAY, GOOD, lake_at

from anomaly_assets.adapters.erased_files import ErasedFiles, Remainder
from anomaly_assets.adapters.erasing import erase_from
from anomaly_assets.adapters.erasures import ErasedWallet, Erasures
from anomaly_assets.adapters.failpoints import armed
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.seal import Seal, StoredFile
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.domain.wallet_leaves import root_of, wallet_leaves

ROWS = [("a", 1.0), ("a", 2.0), ("b", 3.0), ("c", 4.0)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return lake_at(tmp_path)


def sealed(lake: Lake, rows: Sequence[tuple[str | None, float]]) -> Seal:
    """A partition of these rows, with a table without wallets beside it."""
    table = pa.table({"wallet_id": [wallet for wallet, _ in rows], "amount": [amount for _, amount in rows]})
    with lake.writing(ASSET, DAY, timeout_seconds=5) as writer:
        staged = writer.stage({"rows": table, "numbers": pa.table({"n": [1]})})
        return writer.commit(staged, revision=table_digest(table), verdicts=[GOOD])[0]


def erase(lake: Lake, wallet: str) -> ErasedFiles:
    with lake.writing(ASSET, DAY, timeout_seconds=5) as writer:
        return erase_from(writer, wallet)


def rows_of(lake: Lake, seal: Seal) -> list[tuple[str | None, float]]:
    return [(row["wallet_id"], row["amount"]) for row in lake.read(seal, "rows").to_pylist()]


def leaves_of(lake: Lake, seal: Seal) -> list[str]:
    kept = lake.erased(ASSET, DAY).remainders.get(seal.files["rows"].sha256)
    return [*wallet_leaves(lake.read(seal, "rows")).values(), *(kept.leaves if kept else ())]


def names(lake: Lake) -> set[str]:
    return {path.name for path in lake.local_folder(ASSET, DAY).glob("*.parquet")}


def test_every_revision_loses_the_wallet_alone_and_its_seal_still_reads(lake: Lake) -> None:
    old, new = sealed(lake, ROWS), sealed(lake, [*ROWS, ("b", 5.0)])
    before = {path: path.read_bytes() for path in lake.local_folder(ASSET, DAY).rglob("*.json")}
    erase(lake, "b")
    assert rows_of(lake, old) == [("a", 1.0), ("a", 2.0), ("c", 4.0)]
    assert rows_of(lake, new) == rows_of(lake, old)
    assert lake.require(ASSET, DAY) == new
    assert {path: path.read_bytes() for path in before} == before
    for seal in (old, new):
        assert root_of(lake.read(seal, "rows").schema, leaves_of(lake, seal)) == seal.files["rows"].root
    assert lake.read_bytes(new, "numbers")


def test_one_after_the_other_is_the_same_as_in_the_other_order(lake: Lake, tmp_path: Path) -> None:
    other = lake_at(tmp_path / "other")
    for each, order in ((lake, "abc"), (other, "cba")):
        seal = sealed(each, [*ROWS, (None, 6.0)])
        for wallet in order:
            erase(each, wallet)
        assert rows_of(each, seal) == [(None, 6.0)]
        assert root_of(each.read(seal, "rows").schema, leaves_of(each, seal)) == seal.files["rows"].root
    original = seal.files["rows"].sha256
    assert lake.erased(ASSET, DAY).remainders[original] == other.erased(ASSET, DAY).remainders[original]


def test_a_wallet_that_is_not_there_changes_nothing(lake: Lake) -> None:
    sealed(lake, ROWS)
    before = names(lake)
    assert erase(lake, "d").remainders == {}
    assert names(lake) == before
    assert not (lake.local_folder(ASSET, DAY) / "erased.json").exists()


@pytest.mark.parametrize("point", ["erasure.staged", "erasure.recorded"])
def test_stopped_anywhere_and_done_again_is_the_same(lake: Lake, tmp_path: Path, point: str) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    undisturbed = lake_at(tmp_path / "other")
    for each in (lake, undisturbed):
        seal = sealed(each, ROWS)
    with armed(point, stop), pytest.raises(KeyboardInterrupt):
        erase(lake, "a")
    rows_of(lake, seal)  # readers find the old rows or the new ones
    assert erase(lake, "a") == erase(undisturbed, "a")
    assert names(lake) == names(undisturbed)
    assert rows_of(lake, seal) == [("b", 3.0), ("c", 4.0)]


def test_a_file_that_cannot_be_read_stops_the_erasure_and_is_named(lake: Lake) -> None:
    path = lake.path_of(sealed(lake, ROWS), "rows")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptFile, match=f"{path.name} has digest"):
        erase(lake, "a")


def test_the_same_rows_staged_again_are_what_an_erasure_left(lake: Lake) -> None:
    seal = sealed(lake, ROWS)
    rest = pa.table({"wallet_id": ["a", "a", "c"], "amount": [1.0, 2.0, 4.0]})
    tables = {"rows": rest, "numbers": pa.table({"n": [1]})}

    def what_is_left(tables: dict[str, pa.Table]) -> Seal | None:
        with lake.writing(ASSET, DAY, timeout_seconds=5) as writer:
            return writer.rest_of(writer.stage(tables), [GOOD])

    assert what_is_left(tables) is None
    erase(lake, "b")
    assert what_is_left(tables) == seal
    assert what_is_left({**tables, "rows": rest.slice(1)}) is None


def _flipped(content: bytes) -> bytes:
    return content.replace(b"leaves", b"leavez")


@pytest.mark.parametrize("change", [_flipped, lambda _: b"{}", lambda _: b"[]", lambda content: content[:-1]])
def test_a_changed_record_is_refused(lake: Lake, change: Callable[[bytes], bytes]) -> None:
    seal = sealed(lake, ROWS)
    erase(lake, "a")
    path = lake.local_folder(ASSET, DAY) / "erased.json"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CorruptFile, match=r"erased\.json is not the record"):
        lake.read(seal, "rows")


HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
FILES = st.builds(StoredFile, st.text(), HEX, st.integers(0), st.integers(0), st.none() | HEX)
REMAINDERS = st.dictionaries(HEX, st.builds(Remainder, FILES, st.lists(HEX).map(tuple)))


@given(REMAINDERS)
def test_a_record_is_read_as_it_was_written(remainders: dict[str, Remainder]) -> None:
    record = ErasedFiles("asset", DAY, remainders)
    assert ErasedFiles.from_bytes(record.to_bytes(), "asset", DAY) == record


def test_erased_wallets_are_known_by_digests_alone(tmp_path: Path) -> None:
    erasures = Erasures(tmp_path / "erasures", salt="home")
    day = date(2024, 1, 1)
    wallet = ErasedWallet(erasures.mark_of("wallet", "w1"), {}).and_also({day: {erasures.mark_of("transaction", "t1")}})
    assert erasures.among(pa.array(["w1", None])).tolist() == [False, False]
    erasures.write(wallet)
    assert erasures.find("w1") == wallet
    assert erasures.find("w2") is None
    assert erasures.with_transaction("t1") == [(wallet, day)]
    assert erasures.with_transaction("w1") == []
    assert erasures.among(pa.array(["w2", None, "w1", "w1"])).tolist() == [False, False, True, True]
    [path] = erasures.root.iterdir()
    assert b"w1" not in path.read_bytes()
    assert Erasures(erasures.root, salt="another home").among(pa.array(["w1"])).tolist() == [False]
    path.write_bytes(path.read_bytes().replace(b"2024", b"2025"))
    with pytest.raises(CorruptFile, match="not the record"):
        erasures.among(pa.array(["w3"]))
