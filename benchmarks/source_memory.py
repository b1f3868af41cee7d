"""How much memory the ingestion of one large day takes, by source; only the ingesting process counts.

Each figure is the highest resident memory of a fresh process: of its imports and first connection alone, of reading the
day and letting go of it, and of ingesting it (read, validate, de-duplicate, sort, digest, seal). A CSV file is put in
order of day in the process that first asks for a day, so reading and ingesting it each begin with that.
"""

import argparse
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.sources.base import HasColumns, TransactionSource
from anomaly_assets.domain.days import DayRange
from anomaly_assets.resources.source import source_resource
from anomaly_assets.settings import Settings, load_settings
from anomaly_assets.steps.ingest import ingest_day
from anomaly_assets.steps.run import Run
from benchmarks import files_memory
from benchmarks.command_line import positive
from benchmarks.measuring import machine, machine_line, write_result
from benchmarks.snowflake_server import SERVED_DAY, TABLE, serving

SOURCES = ("snowflake", "csv", "synthetic")
MEASURED = ("snowflake", "csv")
SIZE, QUICK_SIZE = 10_000_000, 20_000
ROWS_PER_WALLET = 100
SECRET = "BENCH_SNOWFLAKE_PASSWORD"  # noqa: S105  the name of a variable


def main() -> int:
    """Measure, print and write the figures of each source."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tiny run of a few seconds: shows that it works")
    parser.add_argument("--source", choices=SOURCES, help="one source (default: snowflake, then csv)")
    parser.add_argument("--rows", type=positive, help="rows of the day")
    parser.add_argument("--json", type=Path, help="write the figures here (default: below benchmarks/results)")
    arguments = parser.parse_args()
    n_rows = arguments.rows or (QUICK_SIZE if arguments.quick else SIZE)
    sources = {}
    for source in [arguments.source] if arguments.source else MEASURED:
        with _overrides(source, n_rows) as overrides:
            sources[source] = {stage.__name__: _apart(stage, overrides) for stage in (nothing, reading, ingesting)}
    result = {"rows": n_rows, "sources": sources, "machine": machine()}
    show(result)
    write_result("source_memory", result, path=arguments.json, quick=arguments.quick)
    return 0


def nothing(source: TransactionSource, settings: Settings, folder: Path) -> int:  # noqa: ARG001
    """Imports, and a first connection or the header of a file."""
    if isinstance(source, HasColumns):
        source.columns_found()
    return 0


def reading(source: TransactionSource, settings: Settings, folder: Path) -> int:  # noqa: ARG001
    """The day, batch by batch, each forgotten at once."""
    return sum(batch.num_rows for batch in source.batches(DayRange.of(settings.first_day)))


def ingesting(source: TransactionSource, settings: Settings, folder: Path) -> int:
    """What the asset raw_transactions does."""
    run = Run(Home(folder), "bench", lambda: datetime.now(UTC), lambda _: None, 60.0)
    counts: dict[str, Any] = dict(ingest_day(run, source, settings.border_rules, settings.first_day).seal.counts)
    return int(counts["n_in"])


Stage = Callable[[TransactionSource, Settings, Path], int]


def _apart(stage: Stage, overrides: dict[str, Any]) -> dict[str, float]:
    """Run a stage in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, stage, overrides).result()


def _measured(stage: Stage, overrides: dict[str, Any]) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    settings = load_settings(environ={}, overrides={**overrides, "home": folder})
    began = time.perf_counter()
    try:
        with source_resource(settings).process_config_and_initialize_cm() as opened:
            n_rows = stage(opened.open(), settings, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"rows": n_rows, "seconds": time.perf_counter() - began, "peak_mb": peak}


@contextmanager
def _overrides(source: str, n_rows: int) -> Iterator[dict[str, Any]]:
    """Settings of a source that has ``n_rows`` on its first day."""
    n_wallets = max(1, n_rows // ROWS_PER_WALLET)
    if source == "synthetic":
        # wallets of the world begin over time: on its first day about as many transactions as it is asked for
        yield {
            "source.kind": source,
            "first_day": SERVED_DAY,
            "source.synthetic.wallets": n_wallets,
            "source.synthetic.transactions_per_day": n_rows,
        }
    elif source == "csv":
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            path = Path(folder) / "day.csv"
            files_memory.write(path, 1, n_rows)
            yield {"source.kind": "files", "first_day": files_memory.FIRST, "source.files.path": str(path)}
    else:
        with _account(n_rows, n_wallets) as overrides:
            yield overrides


@contextmanager
def _account(n_rows: int, n_wallets: int) -> Iterator[dict[str, Any]]:
    """Settings of a stand-in for Snowflake."""
    os.environ[SECRET] = "any"
    with serving(n_rows, n_wallets) as port:
        yield {
            "source.kind": "snowflake",
            "first_day": SERVED_DAY,
            "source.snowflake.table": TABLE,
            "snowflake.account": "bench",
            "snowflake.user": "bench",
            "snowflake.password_env": SECRET,
            "snowflake.host": "127.0.0.1",
            "snowflake.port": port,
            "snowflake.unencrypted_loopback": True,
        }


def show(result: dict[str, Any]) -> None:
    """The figures as a table."""
    table = Table(title=f"a day of {result['rows']:,} rows")
    for name in ("source", "in a fresh process", "rows", "seconds", "highest memory, MB"):
        table.add_column(name, justify="left" if name in {"source", "in a fresh process"} else "right")
    for source, stages in result["sources"].items():
        for name, figures in stages.items():
            shown = (f"{figures['rows']:,}", f"{figures['seconds']:.1f}", f"{figures['peak_mb']:,.0f}")
            table.add_row(source, name, *shown)
    console = Console(width=100)
    console.print(table)
    console.print(machine_line(result["machine"]))


if __name__ == "__main__":
    raise SystemExit(main())
