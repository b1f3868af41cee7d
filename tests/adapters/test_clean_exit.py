"""A process that read data ends with its own exit code, however busy the machine is."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from anomaly_assets.adapters.parquet_bytes import table_from_bytes, table_to_bytes

TABLE = pa.table({name: list(range(2000)) for name in "abcdefgh"})
AT_ONCE, READERS = 4, 32

READER = """
from anomaly_assets.adapters.parquet_bytes import table_from_bytes
content = open({path!r}, "rb").read()
for _ in range(3):
    table_from_bytes(content)
"""


def test_a_process_that_read_a_table_from_memory_ends_without_being_aborted(tmp_path: Path) -> None:
    """Of readers that lend Python's memory to Arrow's threads one in six is aborted while it ends."""
    path = tmp_path / "data.parquet"
    path.write_bytes(table_to_bytes(TABLE))

    def run(_: int) -> tuple[str, int]:
        command = [sys.executable, "-c", READER.format(path=str(path))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stderr, done.returncode

    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(run, range(READERS)))
    assert ended == [("", 0)] * READERS


def test_a_table_comes_back_from_its_bytes() -> None:
    assert table_from_bytes(table_to_bytes(TABLE)).equals(TABLE)
    assert table_from_bytes(table_to_bytes(TABLE), ["c"]).column_names == ["c"]
    in_chunks = pa.concat_tables([TABLE.slice(0, 7), TABLE.slice(7)])
    assert table_to_bytes(in_chunks) == table_to_bytes(TABLE)
