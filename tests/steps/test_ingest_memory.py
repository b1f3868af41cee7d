"""What ingesting a large day holds besides its rows, by the sizes of what is allocated: the same on any machine."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from anomaly_assets.adapters import lake, partition_files
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.sources.base import Coverage, Probe
from anomaly_assets.domain import border, predicates, raw_day, table_identity, wallet_leaves
from anomaly_assets.domain.border import BorderRules
from anomaly_assets.domain.days import ONE_DAY, DayRange, midnight_us
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.domain.schema import TIME
from anomaly_assets.steps.ingest import ingest_day
from anomaly_assets.steps.run import Run

DAY = date(2024, 3, 2)
N_ROWS, BATCH_ROWS = 200_000, 20_000
TEXT = pa.large_binary()
PARTS: tuple[tuple[ModuleType, str], ...] = (
    (border, "PART_ROWS"),
    (table_identity, "BLOCK_ROWS"),
    (raw_day, "BLOCK_ROWS"),
    (wallet_leaves, "BLOCK_ROWS"),
    (predicates, "ROWS_AT_ONCE"),
    (lake, "BATCH_ROWS"),
    (partition_files, "SMALL_ROW_GROUP"),
    (partition_files, "LARGE_ROW_GROUP"),
)
_POOLS: list[pa.MemoryPool] = []
"""Kept, because what was allocated from them may be freed after the test."""


class Day:
    """A source of one day, made batch by batch as it is read."""

    time_zone = "UTC"

    def __init__(self, n_rows: int, *, as_text: bool) -> None:
        self._n_rows, self._as_text, self.identity = n_rows, as_text, {"kind": "day"}

    def coverage(self) -> Coverage:
        return Coverage(DAY, DAY + ONE_DAY)

    def probe(self, days: DayRange, *, known_at: datetime | None = None) -> Probe:  # noqa: ARG002
        return Probe(self._n_rows, "")

    def batches(self, days: DayRange, *, known_at: datetime | None = None) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for start in range(0, self._n_rows, BATCH_ROWS):
            numbers = np.arange(start, start + BATCH_ROWS) * 7_919 % N_ROWS  # in no order
            columns = {
                "tx_id": _named("transaction ", numbers),
                "wallet_id": _named("wallet ", numbers % 2_000),
                "tx_completed_at": pa.array(midnight_us(DAY) + numbers * 1_000).cast(TIME),
                "total_amount": pa.array(numbers / 4),
                "org_name": _named("organisation ", numbers % 50),
            }
            if self._as_text:
                columns["tx_completed_at"] = columns["tx_completed_at"].cast(pa.timestamp("us"))
                columns = {name: column.cast(pa.string()).cast(TEXT) for name, column in columns.items()}
            yield pa.RecordBatch.from_pydict(columns)


def _named(what: str, numbers: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(what, pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 8, "0"), "")


@contextmanager
def measured(peaks: dict[str, int]) -> Iterator[None]:
    """The highest number of bytes that Arrow, and that Python and numpy, held at once inside the block."""
    usual = pa.default_memory_pool()
    _POOLS.append(pa.proxy_memory_pool(usual))
    pa.set_memory_pool(_POOLS[-1])
    tracemalloc.start()
    try:
        yield
        peaks |= {"arrow": _POOLS[-1].max_memory() or 0, "numpy": tracemalloc.get_traced_memory()[1]}
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)


@pytest.mark.parametrize(("as_text", "times_its_rows"), [(False, 1.6), (True, 1.9)])
def test_a_large_day_is_ingested_in_little_more_than_its_rows_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_text: bool, times_its_rows: float
) -> None:
    """As a table delivers it, and as a CSV file does, whose text is larger than the rows that come of it.

    Arrow holds the rows, their order and one column twice, or what was delivered; numpy the hash of each id twice.
    """
    for module, name in PARTS:  # small beside the day, as they are beside ten million rows
        monkeypatch.setattr(module, name, 10_000)
    run = Run(Home(tmp_path), "run", lambda: datetime(2024, 3, 3, tzinfo=UTC), lambda _: None, 5.0)
    ingest_day(run, Day(BATCH_ROWS, as_text=as_text), BorderRules(), DAY)  # compiles what is compiled on first use
    peaks: dict[str, int] = {}
    with measured(peaks):
        outcome = ingest_day(run, Day(N_ROWS, as_text=as_text), BorderRules(), DAY)
    kept = run.home.lake.read(run.home.lake.require(RAW, DAY), "transactions")
    assert kept.num_rows == outcome.seal.counts["n_kept"] == N_ROWS
    assert peaks["arrow"] < times_its_rows * kept.nbytes
    assert peaks["numpy"] < 40 * N_ROWS
