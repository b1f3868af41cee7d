"""A process that read data ends with its own exit code, however busy the machine is."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from anomaly_assets.adapters.parquet_bytes import table_from_bytes, table_to_bytes

TABLE = pa.table({name: list(range(2000)) for name in "abcdefgh"})
AT_ONCE, READERS = 4, 32

READER = """
from pathlib import Path
from anomaly_assets.adapters.parquet_bytes import table_from_bytes
from anomaly_assets.adapters.sources.csv_rows import csv_tables
content = open({path!r}, "rb").read()
for _ in range(3):
    table_from_bytes(content)
    list(csv_tables(Path({csv!r}), ",", "utf-8", ["a"]))
"""
THREADS = """
import os, sys
import pyarrow as pa
import pyarrow.parquet as pq
from anomaly_assets.adapters.parquet_bytes import table_from_bytes
with pq.ParquetFile(sys.argv[1]) as file:  # what Arrow starts once, whoever reads
    file.read(use_threads=False)
before = os.listdir("/proc/self/task")
table_from_bytes(open(sys.argv[1], "rb").read(), ["c"])
print(sorted(set(os.listdir("/proc/self/task")) - set(before)))
"""


def test_a_process_that_read_data_ends_without_being_aborted(tmp_path: Path) -> None:
    """Of readers that lend Python's memory to Arrow's threads one in six is aborted while it ends."""
    path = tmp_path / "data.parquet"
    path.write_bytes(table_to_bytes(TABLE))
    csv = tmp_path / "data.csv"
    csv.write_text("a,b\n" + "1,2\n" * 2000)

    def run(_: int) -> tuple[str, int]:
        command = [sys.executable, "-c", READER.format(path=str(path), csv=str(csv))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stderr, done.returncode

    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(run, range(READERS)))
    assert ended == [("", 0)] * READERS


def test_reading_a_table_from_memory_starts_no_thread_of_arrows(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(table_to_bytes(TABLE))
    done = subprocess.run([sys.executable, "-c", THREADS, str(path)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(pa.ArrowInvalid, match="no column y, z among a, b, c"):
        table_from_bytes(table_to_bytes(TABLE), ["z", "a", "y"])


def test_a_table_comes_back_from_its_bytes() -> None:
    assert table_from_bytes(table_to_bytes(TABLE)).equals(TABLE)
    assert table_from_bytes(table_to_bytes(TABLE), ["c", "a"]).column_names == ["c", "a"]
    in_chunks = pa.concat_tables([TABLE.slice(0, 7), TABLE.slice(7)])
    assert table_to_bytes(in_chunks) == table_to_bytes(TABLE)
