"""The index of a raw day's ids: it finds every id, and says that it cannot tell when it is not as written."""

from pathlib import Path

import pyarrow as pa
import pytest

from anomaly_assets.adapters.id_index import hash_of, may_hold, write_id_index

REVISION = "a1" * 32


def indexed(folder: Path, n_ids: int) -> list[str]:
    """An index of so many ids, and the ids."""
    ids = [f"T{number:06d}" for number in range(n_ids)]
    write_id_index(folder, REVISION, pa.chunked_array([pa.array(ids, pa.string())]))
    return ids


@pytest.mark.parametrize("n_ids", [0, 1, 2, 510, 511, 512, 1021, 1022, 1023, 5000])
def test_every_id_is_found_and_no_other_whatever_their_number(tmp_path: Path, n_ids: int) -> None:
    ids = indexed(tmp_path, n_ids)
    assert all(may_hold(tmp_path, REVISION, hash_of(tx_id)) is True for tx_id in ids)
    assert all(may_hold(tmp_path, REVISION, hash_of(f"U{number}")) is False for number in range(500))


def test_an_id_that_damage_hides_is_never_answered_as_missing(tmp_path: Path) -> None:
    """Words are changed, taken out and moved everywhere in a file of three blocks; none of its ids is denied."""
    ids = indexed(tmp_path, 1200)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    blocks = [whole[begin : begin + 4096] for begin in range(0, len(whole), 4096)]
    damaged = [
        whole[:-8],
        whole[:4096],
        b"".join([blocks[1], blocks[0], blocks[2]]),
        b"".join([blocks[0], blocks[2], blocks[1]]),
        *(whole[:at] + bytes(8) + whole[at + 8 :] for at in range(0, len(whole), 8 * 37)),
        *(whole[:at] + whole[at + 8 :] for at in range(0, len(whole), 8 * 37)),
    ]
    hashed = [hash_of(tx_id) for tx_id in ids[::7]]
    for content in damaged:
        path.write_bytes(content)
        assert {may_hold(tmp_path, REVISION, each) for each in hashed} <= {True, None}


def test_an_index_is_of_one_revision_and_that_of_another_one_does_not_answer_for_it(tmp_path: Path) -> None:
    tx_id, *_ = indexed(tmp_path, 3)
    other = "b2" * 32
    assert may_hold(tmp_path, other, hash_of(tx_id)) is None
    (path,) = tmp_path.iterdir()
    path.rename(tmp_path / f"ids-{other[:16]}.u64")
    assert may_hold(tmp_path, other, hash_of("U1")) is None


def test_an_index_that_is_written_again_is_not_touched(tmp_path: Path) -> None:
    indexed(tmp_path, 600)
    (path,) = tmp_path.iterdir()
    before = path.stat().st_mtime_ns
    indexed(tmp_path, 600)
    assert path.stat().st_mtime_ns == before
