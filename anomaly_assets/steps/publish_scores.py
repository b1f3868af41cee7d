"""published_scores: bring a scored day into a table elsewhere."""

import json
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.adapters.scores_table import ScoresTable
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.identity import canonical_json
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.steps.run import Run

PUBLISHED = "published_scores"


@dataclass(frozen=True)
class PublishedDay:
    """What the table holds of a day now: which scores, how many rows as it counted them, and the rows."""

    revision: str
    n_rows: int
    rows: pa.Table


def publish_scores(run: Run, table: ScoresTable, day: date) -> PublishedDay:
    """Replace the day in the table by the current scores, and note that this was done."""
    lock = run.home.root / "locks" / PUBLISHED / f"{day.isoformat()}.lock"
    with exclusive(lock, timeout_seconds=run.lock_timeout_seconds):
        seal = run.home.lake.require(SCORED, day)
        scored = run.home.lake.read(seal, "scored")
        n_rows = table.replace_day(DayRange.of(day), scored)
        receipt = canonical_json(_receipt(table.name, seal.revision)) + b"\n"
        write_atomically(run.home.scores_receipt(day), receipt, locked=True)
    return PublishedDay(seal.revision, n_rows, scored)


def is_published(home: Home, table: str, day: date, revision: str) -> bool:
    """Whether the table was given these scores of the day last."""
    return published_revision(home, table, day) == revision


def published_revision(home: Home, table: str, day: date) -> str | None:
    """Which scores of the day the table was given last; None when none are known of."""
    try:
        found = json.loads(home.scores_receipt(day).read_bytes())
        revision = str(found["revision"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return revision if found == _receipt(table, revision) else None


def published_day(home: Home, day: date, revision: str) -> PublishedDay:
    """What a table that was given these scores holds of the day. Raises ``NotSealed``, ``CorruptFile``."""
    scored = home.lake.read(home.lake.require(SCORED, day, revision), "scored")
    return PublishedDay(revision, scored.num_rows, scored)


def _receipt(table: str, revision: str) -> dict[str, str]:
    return {"table": table.upper(), "revision": revision}
