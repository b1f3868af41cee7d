"""Detection quality on the third-party labelled transactions: the real backfill, then flags against labels.

    python benchmarks/sparkov.py [--home DIR] [--days N] [--data FILE] [--json FILE]

Runs the graph with default settings over 2019-07-01 to 2019-07-14 (or its first N days), with all days from 2019-01-01
behind it, and reads the published files. With ``--home`` the folder is kept and a second call reuses what is in it.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.backfill import Progress, Report, backfill
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.domain.evaluation import Detection
from anomaly_assets.domain.metrics import UNIFIED
from anomaly_assets.domain.published import anomaly_column, status_column
from anomaly_assets.settings import Settings

FIRST_DAY, FIRST_SCORED_DAY, ALL_DAYS = date(2019, 1, 1), date(2019, 7, 1), 14
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "sparkov_2019.parquet"
FOREST = "isolation_forest"


@dataclass(frozen=True)
class Figures:
    """What the published days say about the labels.

    Parameters
    ----------
    rows, labelled : scored transactions and the labelled ones among them
    rows_with_history : those whose wallet has enough transactions in the window for a forest
    labelled_with_history : labelled ones among these
    over_forest_rows : each detector and the unified flag, over the rows the forest judged
    at_unseen_hours : the unified flag, over the rows at an hour that their wallet's window does not hold
    labelled_zscores : smallest, median and largest z-score of labelled rows; None without any
    """

    rows: int
    labelled: int
    rows_with_history: int
    labelled_with_history: int
    over_forest_rows: dict[str, Detection]
    at_unseen_hours: Detection
    labelled_zscores: tuple[float, float, float] | None


def main() -> int:
    """Backfill, measure, print."""
    arguments = _arguments()
    days = DayRange(FIRST_SCORED_DAY, FIRST_SCORED_DAY + timedelta(days=arguments.days))
    with tempfile.TemporaryDirectory(prefix="sparkov-") as temporary:
        settings = sparkov_settings(arguments.home or Path(temporary), arguments.data)
        started = time.monotonic()
        try:
            report = backfill(settings, days, _to_stderr(), today=datetime.now(UTC).date())
        finally:
            StoreProvider.from_settings(settings.redis).embedded(Home(settings.home)).stop()
        for (job, day), error in report.failed.items():
            print(f"{job} of {day} failed: {error}", file=sys.stderr)
        if report.failed:
            return 1
        figures = measure(Home(settings.home), days, arguments.data, settings)
    _print(figures, days, report, time.monotonic() - started)
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(figures, days), indent=2) + "\n", encoding="utf-8")
    return 0


def sparkov_settings(home: Path, data: Path) -> Settings:
    """Default settings over the data file; neither ``anomaly.yaml`` nor the environment changes the figures."""
    return Settings.model_validate(
        {
            "home": home.absolute(),
            "first_day": FIRST_DAY,
            "source": {"kind": "files", "files": {"path": data.absolute()}},
        }
    )


def measure(home: Home, days: DayRange, data: Path, settings: Settings) -> Figures:
    """Join the published files of ``days`` with the labels in ``data``."""
    scored = pa.concat_tables([pq.read_table(home.published_path(day)) for day in days])
    labels = pq.read_table(data, columns=["tx_id", "is_anomaly_label"])
    place = pc.index_in(scored.column("TX_ID"), labels.column("tx_id"))
    if place.null_count:
        raise ValueError(f"{place.null_count} published transactions are not in {data}")
    is_anomalous = _bools(labels.column("is_anomaly_label").take(place))
    status = scored.column(status_column(FOREST))
    judged = _bools(pc.equal(status, DetectorStatus.JUDGED))
    has_history = judged | _bools(pc.equal(status, DetectorStatus.CONSTANT_HISTORY))
    names = [detector.name for detector in settings.detection.detectors()]
    flags = {name: _bools(scored.column(anomaly_column(name))) for name in names}
    flags[UNIFIED] = _bools(scored.column("is_anomaly"))
    unseen = _bools(pc.fill_null(scored.column("hour_unseen"), fill_value=False))
    return Figures(
        rows=scored.num_rows,
        labelled=int(is_anomalous.sum()),
        rows_with_history=int(has_history.sum()),
        labelled_with_history=int((has_history & is_anomalous).sum()),
        over_forest_rows={
            name: Detection.of(is_anomalous[judged], judged[judged], flagged[judged]) for name, flagged in flags.items()
        },
        at_unseen_hours=Detection.of(is_anomalous[unseen], judged[unseen], flags[UNIFIED][unseen]),
        labelled_zscores=_spread(scored.column("zscore").to_numpy()[is_anomalous]),
    )


def as_json(figures: Figures, days: DayRange) -> dict[str, Any]:
    """The counts and rates as JSON."""
    rates = {
        name: {**asdict(found), "flagged_share": found.both.rate, "recall": found.recall, "precision": found.precision}
        for name, found in figures.over_forest_rows.items()
    }
    return {"first_day": str(days.first), "days": len(days), **asdict(figures), "over_forest_rows": rates}


def _spread(zscores: np.ndarray) -> tuple[float, float, float] | None:
    judged = zscores[~np.isnan(zscores)]
    return (float(judged.min()), float(np.median(judged)), float(judged.max())) if len(judged) else None


def _bools(column: pa.ChunkedArray) -> np.ndarray:
    values: np.ndarray = column.to_numpy()
    return values.astype(np.bool_)


def _print(figures: Figures, days: DayRange, report: Report, seconds: float) -> None:
    table = Table("over the rows the forest judged", show_edge=False)
    for name in ("rows", "flagged", "flagged share", "labelled", "found", "recall", "precision"):
        table.add_column(name, justify="right")
    for name, found in figures.over_forest_rows.items():
        counts = (found.both.judged, found.both.flagged, found.both.rate, found.anomalous.judged)
        rates = (found.anomalous.flagged, found.recall, found.precision)
        table.add_row(name, *(_shown(value) for value in (*counts, *rates)))
    console = Console(width=110, highlight=False)
    last = days.end - timedelta(days=1)
    console.print(f"{days.first} to {last}: {figures.rows:,} rows, {figures.labelled:,} of them labelled")
    console.print(
        f"with 100 or more rows of history: {figures.rows_with_history:,}, {figures.labelled_with_history:,} of them "
        "labelled",
    )
    console.print(table)
    unseen = figures.at_unseen_hours
    console.print(
        f"at hours their wallet's window does not hold: {unseen.both.rows:,} rows, {unseen.anomalous.rows:,} of them "
        f"labelled, {unseen.both.flagged:,} flagged"
    )
    if figures.labelled_zscores:
        smallest, median, largest = figures.labelled_zscores
        console.print(f"z-scores of labelled rows: {smallest:.2f} to {largest:.2f}, median {median:.2f}")
    console.print(
        f"{len(report.ingested)} days ingested, {len(report.detected)} trained and scored in {seconds:.0f} s",
    )


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3%}"


def _to_stderr() -> Progress:
    def start(job: str, n_days: int) -> None:
        print(f"{job}: {n_days} days", file=sys.stderr, flush=True)

    def advance(job: str, day: date, succeeded: bool) -> None:  # noqa: FBT001 - the signature of Progress
        print(f"{job} {day} {'done' if succeeded else 'failed'}", file=sys.stderr, flush=True)

    return Progress(start, advance)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, help="folder to keep and reuse (default: a temporary one)")
    parser.add_argument(
        "--days", type=int, default=ALL_DAYS, choices=range(1, ALL_DAYS + 1), metavar="N", help="1 to 14"
    )
    parser.add_argument("--data", type=Path, default=DATA, help="the parquet file (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
