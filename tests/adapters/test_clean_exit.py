"""A process that read data ends with its own exit code, however busy the machine is."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from anomaly_assets.adapters.parquet_bytes import table_from_bytes, table_to_bytes

TABLE = pa.table({name: list(range(2000)) for name in "abcdefgh"})
AT_ONCE, READERS = 4, 32

READERS_APART = """
import os, sys, warnings
from pathlib import Path
import numpy as np
from anomaly_assets.adapters.parquet_bytes import table_from_bytes
from anomaly_assets.adapters.sources.csv_rows import csv_tables
from anomaly_assets.domain.csv_records import complete_records

path, csv, at_once, readers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
complete_records(np.frombuffer(b"a,b", np.uint8), ord(","), final=True)  # compiled here and not in each reader
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # Arrow's allocator is
running, ended = set(), []

def wait():
    pid, status = os.wait()
    running.remove(pid)
    ended.append(os.waitstatus_to_exitcode(status))

def parquet():
    table_from_bytes(content)

def csv_rows():
    list(csv_tables(csv, ",", "utf-8", ["a"]))

for reader in range(readers):
    if len(running) == at_once:
        wait()
    pid = os.fork()
    if pid:
        running.add(pid)
        continue
    content = path.read_bytes()
    for _ in range(3):
        for read in (csv_rows, parquet) if reader % 4 else (parquet, csv_rows):  # either may be the last
            read()
    sys.exit()
while running:
    wait()
print(ended)
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


def told(script: str, *arguments: object) -> tuple[str, str]:
    """What a process of its own prints, and what it complains of."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.stdout, done.stderr


def test_a_process_that_read_data_ends_without_being_aborted(tmp_path: Path) -> None:
    """Of readers that lend Python's memory to Arrow's threads one in six is aborted while it ends."""
    path = tmp_path / "data.parquet"
    path.write_bytes(table_to_bytes(TABLE))
    csv = tmp_path / "data.csv"
    csv.write_text("a,b\n" + "1,2\n" * 2000)

    assert told(READERS_APART, path, csv, AT_ONCE, READERS) == (f"{[0] * READERS}\n", "")


def test_reading_a_table_from_memory_starts_no_thread_of_arrows(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(table_to_bytes(TABLE))
    assert told(THREADS, path) == ("[]\n", "")


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(pa.ArrowInvalid, match="no column y, z among a, b, c"):
        table_from_bytes(table_to_bytes(TABLE), ["z", "a", "y"])


def test_a_table_comes_back_from_its_bytes() -> None:
    assert table_from_bytes(table_to_bytes(TABLE)).equals(TABLE)
    assert table_from_bytes(table_to_bytes(TABLE), ["c", "a"]).column_names == ["c", "a"]
    in_chunks = pa.concat_tables([TABLE.slice(0, 7), TABLE.slice(7)])
    assert table_to_bytes(in_chunks) == table_to_bytes(TABLE)
