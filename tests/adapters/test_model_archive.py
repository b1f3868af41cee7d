"""Every payload is stored once per model id, and comes back as it was or not at all."""

import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.adapters import model_archive
from anomaly_assets.adapters.model_archive import NEARBY_DAYS, ROW_GROUP_PAYLOADS, ModelArchive
from anomaly_assets.domain.errors import CorruptFile

DAY = date(2024, 3, 1)
PAYLOADS = {"a" * 64: b"\x00\xffone", "b" * 64: b"", "c" * 64: b"three" * 20}


@pytest.fixture
def archive(tmp_path: Path) -> ModelArchive:
    return ModelArchive(tmp_path / "models")


def packs(archive: ModelArchive) -> list[Path]:
    return sorted(archive.root.glob("*/*.parquet"))


def ids_on_disk(archive: ModelArchive) -> list[str]:
    return sorted(i for pack in packs(archive) for i in pq.read_table(pack).column("model_id").to_pylist())


def test_payloads_come_back_as_they_were_put(archive: ModelArchive) -> None:
    assert archive.put(DAY, PAYLOADS.items()) == 3
    assert archive.get(DAY, PAYLOADS) == PAYLOADS
    assert archive.get(DAY, ["b" * 64]) == {"b" * 64: b""}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(alphabet="0123456789abcdef", min_size=64, max_size=64), st.binary(max_size=50)))
def test_any_payloads_come_back(payloads: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = ModelArchive(Path(folder))
        assert archive.put(DAY, payloads.items()) == len(payloads)
        assert archive.get(DAY, [*payloads, "0"]) == payloads


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(alphabet="0123456789abcdef", min_size=64, max_size=64), st.binary(max_size=50)))
def test_looking_a_few_up_finds_what_reading_all_finds(payloads: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = ModelArchive(Path(folder))
        archive.put(DAY, payloads.items())
        for model_id in [*payloads, "0"]:
            assert archive.look_up({DAY: {model_id}}) == archive.get(DAY, [model_id])


def many(n: int) -> dict[str, bytes]:
    """Payloads by ids in order."""
    return {f"{number:064x}": bytes([number % 256]) * 500 for number in range(n)}


def test_a_few_are_looked_up_without_reading_the_others(archive: ModelArchive) -> None:
    payloads = many(10 * ROW_GROUP_PAYLOADS)
    first, last = min(payloads), max(payloads)
    archive.put(DAY, payloads.items())
    archive.put(DAY + timedelta(days=1), {"f" * 64: b"of tomorrow"}.items())
    assert archive.look_up({DAY: {last, "f" * 64}}) == {last: payloads[last], "f" * 64: b"of tomorrow"}
    [pack] = (archive.root / DAY.isoformat()).glob("*.parquet")
    content = bytearray(pack.read_bytes())
    place = content.rindex(payloads[last])
    content[place] ^= 1
    pack.write_bytes(content)
    assert archive.look_up({DAY: {first}}) == {first: payloads[first]}
    with pytest.raises(CorruptFile, match="is not readable"):
        archive.look_up({DAY: {last}})
    with pytest.raises(CorruptFile, match="has digest"):
        archive.get(DAY, [first])


IDS = ["00", "01", "02", *("f" * model_archive.BEGINNING + end for end in "abc")]
IDS = [model_id.ljust(64, "0") for model_id in IDS]
"""Ids, some of which begin like others."""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    stored=st.lists(st.tuples(st.integers(0, 40), st.sets(st.sampled_from(IDS))), max_size=6),
    wanted=st.dictionaries(st.integers(-5, 45), st.sets(st.sampled_from([*IDS, "0"]), min_size=1), min_size=2),
)
def test_looking_up_over_many_days_finds_what_each_day_alone_finds(
    stored: list[tuple[int, set[str]]], wanted: dict[int, set[str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = ModelArchive(Path(folder))
        for offset, model_ids in stored:
            archive.put(DAY + timedelta(days=offset), [(model_id, model_id.encode()) for model_id in model_ids])
        asked = {DAY + timedelta(days=offset): model_ids for offset, model_ids in wanted.items()}
        alone = [archive.get(day, model_ids) for day, model_ids in asked.items()]
        assert archive.look_up(asked) == {model_id: payload for part in alone for model_id, payload in part.items()}


def test_packs_that_are_known_not_to_hold_a_model_are_not_opened(archive: ModelArchive) -> None:
    days = [DAY, DAY + timedelta(days=1)]
    wanted = {day: {IDS[0]} for day in days}
    archive.put(days[0], {IDS[0]: b"sought"}.items())
    archive.put(days[1], {IDS[1]: b"other"}.items())
    for day in days:
        archive.read_ahead(day)
    [other] = (archive.root / days[1].isoformat()).glob("*.parquet")
    other.write_bytes(b"")
    assert archive.look_up(wanted) == {IDS[0]: b"sought"}
    with pytest.raises(CorruptFile, match="is not readable"):
        archive.look_up({day: {IDS[1]} for day in days})


def test_over_many_days_the_successor_of_a_replaced_pack_is_found(
    archive: ModelArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [DAY, DAY + timedelta(days=1)]
    archive.put(DAY, many(3).items())
    first, second, third = many(3)
    held = model_archive._payloads_held
    archive.read_ahead(DAY)

    def while_gc_runs(pack: Path, model_ids: set[str]) -> dict[str, bytes]:
        monkeypatch.setattr(model_archive, "_payloads_held", held)
        archive.drop(DAY, {second, third})
        return held(pack, model_ids)

    monkeypatch.setattr(model_archive, "_payloads_held", while_gc_runs)
    assert archive.look_up({day: {first, third} for day in days}).keys() == {third}


def test_a_pack_without_small_row_groups_is_looked_up_too(
    archive: ModelArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = many(3 * ROW_GROUP_PAYLOADS)
    monkeypatch.setattr(model_archive, "ROW_GROUP_PAYLOADS", 1_000_000)
    archive.put(DAY, payloads.items())
    with pq.ParquetFile(packs(archive)[0]) as file:
        assert file.num_row_groups == 1
    assert archive.look_up({DAY: set(list(payloads)[5:7])}) == dict(list(payloads.items())[5:7])


def test_ids_that_are_not_stored_are_absent(archive: ModelArchive) -> None:
    assert archive.get(DAY, ["a" * 64]) == {}
    archive.put(DAY, PAYLOADS.items())
    assert archive.get(DAY, ["d" * 64, "a" * 64]) == {"a" * 64: PAYLOADS["a" * 64]}
    assert archive.get(DAY, []) == {}


def test_a_payload_is_stored_once_per_model_id(archive: ModelArchive) -> None:
    archive.put(DAY, PAYLOADS.items())
    assert archive.put(DAY, PAYLOADS.items()) == 0
    assert archive.put(DAY + timedelta(days=1), {**PAYLOADS, "d" * 64: b"new"}.items()) == 1
    assert archive.put(DAY - timedelta(days=NEARBY_DAYS), PAYLOADS.items()) == 0
    assert ids_on_disk(archive) == sorted([*PAYLOADS, "d" * 64])


def test_payloads_of_nearby_days_are_found_and_those_of_far_days_are_not(archive: ModelArchive) -> None:
    archive.put(DAY, PAYLOADS.items())
    for offset in (-NEARBY_DAYS, -1, 1, NEARBY_DAYS):
        assert archive.get(DAY + timedelta(days=offset), PAYLOADS) == PAYLOADS
    far = DAY + timedelta(days=NEARBY_DAYS + 1)
    assert archive.get(far, PAYLOADS) == {}
    assert archive.put(far, PAYLOADS.items()) == 3, "what retention may remove is stored again"


def test_putting_nothing_writes_nothing(archive: ModelArchive) -> None:
    assert archive.put(DAY, {}.items()) == 0
    assert packs(archive) == []


def test_equal_payloads_make_equal_packs(tmp_path: Path) -> None:
    one, other = ModelArchive(tmp_path / "one"), ModelArchive(tmp_path / "other")
    payloads = {f"{n * 7919 % 1000:064d}": b"payload" * n for n in range(100)}
    one.put(DAY, payloads.items())
    other.put(DAY, reversed(payloads.items()))
    assert pq.read_table(packs(one)[0]).column("model_id").to_pylist() == sorted(payloads)
    assert [pack.read_bytes() for pack in packs(one)] == [pack.read_bytes() for pack in packs(other)]
    assert [pack.name for pack in packs(one)] == [pack.name for pack in packs(other)]


def test_one_byte_changed_anywhere_in_a_pack_is_found_and_the_pack_named(archive: ModelArchive, tmp_path: Path) -> None:
    archive.put(DAY, PAYLOADS.items())
    (pack,) = packs(archive)
    content = pack.read_bytes()
    for place in range(len(content)):
        damaged = ModelArchive(tmp_path / f"damaged at {place}")
        copy = damaged.root / DAY.isoformat() / pack.name
        copy.parent.mkdir(parents=True)
        copy.write_bytes(
            content[:place] + bytes([content[place] ^ (0x80, 0x10, 0x01)[place % 3]]) + content[place + 1 :]
        )
        with pytest.raises(CorruptFile, match=f"model pack {DAY}/{pack.name} .*\n.*\n.*remove the pack"):
            damaged.get(DAY, PAYLOADS)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a parquet file at all"])
def test_a_pack_that_is_no_parquet_file_is_named(archive: ModelArchive, content: bytes) -> None:
    pack = archive.root / DAY.isoformat() / "0123456789abcdef.parquet"
    pack.parent.mkdir(parents=True)
    pack.write_bytes(content)
    with pytest.raises(CorruptFile, match="0123456789abcdef"):
        archive.get(DAY, PAYLOADS)
    with pytest.raises(CorruptFile, match="0123456789abcdef"):
        archive.put(DAY, PAYLOADS.items())


def test_another_whole_pack_under_the_name_of_one_is_found(archive: ModelArchive) -> None:
    archive.put(DAY, PAYLOADS.items())
    (pack,) = packs(archive)
    pq.write_table(pa.table({"model_id": list(PAYLOADS), "payload": [b"forged"] * 3}), pack)
    with pytest.raises(CorruptFile, match="has digest"):
        archive.get(DAY, PAYLOADS)


def test_what_the_remedy_says_helps(archive: ModelArchive) -> None:
    archive.put(DAY, PAYLOADS.items())
    (pack,) = packs(archive)
    content = pack.read_bytes()
    pack.write_bytes(content[:-9])
    with pytest.raises(CorruptFile):
        archive.get(DAY, PAYLOADS)
    pack.unlink()
    assert archive.put(DAY, PAYLOADS.items()) == 3
    assert pack.read_bytes() == content


def test_strange_files_among_the_packs_do_no_harm(archive: ModelArchive) -> None:
    archive.put(DAY, PAYLOADS.items())
    (archive.root / ".DS_Store").touch()
    (archive.root / "notes").mkdir()
    (archive.root / "20240301").mkdir()
    (archive.root / DAY.isoformat() / ".hidden.parquet").touch()
    assert archive.get(DAY, PAYLOADS) == PAYLOADS


PUT = """
import sys
import tempfile
from datetime import date
from pathlib import Path
from anomaly_assets.adapters import atomic_files
from anomaly_assets.adapters.model_archive import ModelArchive
{before}
payloads = {{f"{{n:064d}}": b"payload" * n for n in range(int(sys.argv[2]), 200)}}
print("ready", flush=True)
sys.stdin.readline()
ModelArchive(Path(sys.argv[1])).put(date(2024, 3, 1), payloads.items())
"""
KILLED_BEFORE_THE_RENAME = """
import os, signal
atomic_files.replace_durably = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_no_half_pack_and_the_next_one_cleans_up(archive: ModelArchive) -> None:
    command = [sys.executable, "-c", PUT.format(before=KILLED_BEFORE_THE_RENAME), str(archive.root), "0"]
    assert subprocess.run(command, input=b"go\n", check=False, timeout=60).returncode == -9
    assert len(list(archive.root.rglob("*.tmp"))) == 1
    assert archive.get(DAY, [f"{n:064d}" for n in range(200)]) == {}
    assert archive.put(DAY, PAYLOADS.items()) == 3
    assert list(archive.root.rglob("*.tmp")) == []


def test_writers_of_one_day_at_once_store_each_payload_once(archive: ModelArchive) -> None:
    command = [sys.executable, "-c", PUT.format(before=""), str(archive.root)]
    processes = [
        subprocess.Popen([*command, str(start)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for start in (0, 20, 40, 60)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert ids_on_disk(archive) == [f"{n:064d}" for n in range(200)]


def test_many_payloads_are_stored_in_packs_of_bounded_size_and_come_back_pack_by_pack(
    archive: ModelArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anomaly_assets.adapters.model_archive.PACK_BYTES", 1000)
    payloads = {f"{n:064d}": bytes([n]) * 300 for n in range(10)}
    taken = iter(payloads.items())
    assert archive.put(DAY, taken) == 10
    assert sorted(len(pq.read_table(pack)) for pack in packs(archive)) == [2, 4, 4]
    parts = list(archive.stream(DAY, payloads))
    assert len(parts) == 3
    assert {model_id: payload for part in parts for model_id, payload in part.items()} == payloads
    assert archive.get(DAY, payloads) == payloads
