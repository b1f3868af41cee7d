"""How much memory it takes to read files by day, by form of file; each figure is the peak of a fresh process.

    python -m benchmarks.files_memory [--quick] [--rows N] [--json FILE]

One file holds all rows in one day, the others hold three times as many spread over a year in no order. Measured are:
nothing but imports, the first question (the file is read once and put in order of day), the probe of a day and the rows
of a day, batch by batch, in processes that find the file in order.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from anomaly_assets.adapters.sources.day_index import DayIndexes
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.domain.days import MICROSECONDS_PER_DAY, DayRange, midnight_us
from benchmarks.command_line import positive
from benchmarks.measuring import machine, machine_line, write_result

FIRST, N_DAYS, SIZE, QUICK_SIZE = date(2024, 1, 1), 365, 10_000_000, 20_000
ROWS_PER_WALLET, PART_ROWS = 100, 500_000


def main() -> int:
    """Write the files, measure, print, write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tiny run of a few seconds: shows that it works")
    parser.add_argument("--rows", type=positive, help="rows of the large day")
    parser.add_argument("--json", type=Path, help="write the figures here (default: below benchmarks/results)")
    arguments = parser.parse_args()
    n_rows = arguments.rows or (QUICK_SIZE if arguments.quick else SIZE)
    result: dict[str, Any] = {"machine": machine(), "files": {}}
    with tempfile.TemporaryDirectory(prefix="aaf-") as folder:
        for name, n_days, size in (
            ("one day.csv", 1, n_rows),
            ("one day.csv.gz", 1, n_rows),
            ("a year in no order.csv", N_DAYS, 3 * n_rows),
            ("a year in no order.parquet", N_DAYS, 3 * n_rows),
        ):
            path = Path(folder) / name
            write(path, n_days, size)
            stages = {stage.__name__: _apart(stage, path) for stage in (nothing, first_question, probe, rows_of_a_day)}
            spool = sum(part.stat().st_size for part in Path(folder).glob("spools/*.parquet"))
            result["files"][name] = {
                "rows": size, "file_mb": path.stat().st_size / 1e6, "in_order_mb": spool / 1e6, "stages": stages,
            }  # fmt: skip
            path.unlink()
    show(result)
    print(f"written to {write_result('files_memory', result, path=arguments.json, quick=arguments.quick)}")
    return 0


def nothing(source: FilesSource) -> int:  # noqa: ARG001
    """Imports."""
    return 0


def first_question(source: FilesSource) -> int:
    """Which days are there: the file is read once."""
    return len(source.coverage().first.isoformat())


def probe(source: FilesSource) -> int:
    """Count and fingerprint of a day."""
    return source.probe(DayRange.of(FIRST)).n_rows


def rows_of_a_day(source: FilesSource) -> int:
    """The rows of a day, each batch forgotten at once."""
    return sum(batch.num_rows for batch in source.batches(DayRange.of(FIRST)))


Stage = Callable[[FilesSource], int]


def _apart(stage: Stage, path: Path) -> dict[str, float]:
    """Seconds and highest resident memory, MB, of a stage in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(stage, path, sender))
    process.start()
    sender.close()
    figures: dict[str, float] = receiver.recv()
    process.join()
    return figures


def _measure(stage: Stage, path: Path, sender: Any) -> None:
    source = FilesSource(path, spools=path.parent / "spools", indexes=DayIndexes())
    started = time.perf_counter()
    n_rows = stage(source)
    seconds = time.perf_counter() - started
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    sender.send({"rows": n_rows, "seconds": seconds, "peak_mb": peak_mb})


def write(path: Path, n_days: int, n_rows: int) -> None:
    """A file of ``n_rows`` rows over ``n_days`` days in no order, written part by part."""
    parts = _parts(n_days, n_rows)
    first = next(parts)
    if path.suffix == ".parquet":
        with pq.ParquetWriter(path, first.schema) as writer:
            for part in chain([first], parts):
                writer.write_table(part)
        return
    compression = "gzip" if path.suffix == ".gz" else None
    with pa.output_stream(str(path), compression=compression) as sink, pacsv.CSVWriter(sink, first.schema) as writer:
        for part in chain([first], parts):
            writer.write_table(part)


def _parts(n_days: int, n_rows: int) -> Iterator[pa.Table]:
    random = np.random.default_rng(11)
    for start in range(0, n_rows, PART_ROWS):
        size = min(PART_ROWS, n_rows - start)
        numbers = pa.array(np.arange(start, start + size))
        wallets = random.integers(0, max(n_rows // ROWS_PER_WALLET, 1), size)
        moments = midnight_us(FIRST) + random.integers(0, n_days * MICROSECONDS_PER_DAY, size)
        times = pa.array(moments).cast(pa.timestamp("us"))
        yield pa.table(
            {
                "tx_id": pc.binary_join_element_wise("tx-", pc.utf8_lpad(numbers.cast(pa.string()), 12, "0"), ""),
                "wallet_id": pc.binary_join_element_wise("wallet-", pa.array(wallets).cast(pa.string()), ""),
                "tx_completed_at": times,
                "total_amount": pa.array(np.round(np.exp(random.normal(3, 1, size)), 2)),
                "org_name": pc.binary_join_element_wise("org-", pa.array(wallets % 50).cast(pa.string()), ""),
            }
        )


def show(result: dict[str, Any]) -> None:
    """One line per file and stage."""
    table = Table(title="reading files by day", box=None, title_justify="left")
    for name in ("file", "rows", "file MB", "in order MB", "stage", "seconds", "peak MB"):
        table.add_column(name, justify="left" if name in {"file", "stage"} else "right")
    for name, figures in result["files"].items():
        sizes = (f"{figures['rows']:,}", f"{figures['file_mb']:,.0f}", f"{figures['in_order_mb']:,.0f}")
        for stage, measured in figures["stages"].items():
            took = (f"{measured['seconds']:,.1f}", f"{measured['peak_mb']:,.0f}")
            table.add_row(name, *sizes, stage.replace("_", " "), *took)
    console = Console(highlight=False, width=110)
    console.print(table)
    console.print(machine_line(result["machine"]))


if __name__ == "__main__":
    raise SystemExit(main())
