"""Which scored days no longer follow from the raw days that are current now."""

from datetime import date

from anomaly_assets.adapters.lake import Lake
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.lineage import RAW, SCORED, WINDOW
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.window import manifest_of


def stale_scores(run: Run, corrected: date) -> list[date]:
    """Scored days that were made from another revision of raw day ``corrected`` than the current one, ascending."""
    lake = run.home.lake
    current = lake.find(RAW, corrected)
    if current is None:
        return []
    return [
        day
        for day in lake.days(SCORED)
        if day >= corrected and _used(lake, day, corrected) not in {None, current.revision}
    ]


def _used(lake: Lake, scored: date, raw: date) -> str | None:
    """The revision of ``raw`` that the scores of ``scored`` were made from; None when they do not depend on it."""
    try:
        if scored == raw:
            revision: str = lake.require(SCORED, scored).inputs["raw"]
            return revision
        return manifest_of(lake.require(WINDOW, scored)).revisions.get(raw, None)
    except (CorruptFile, NotSealed):
        return None
