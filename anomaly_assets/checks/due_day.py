"""due_day_is_there: the day that should be there by now is there, by the clock and the files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import dagster as dg

from anomaly_assets.adapters.home import Home
from anomaly_assets.checks.partitioned import result_of
from anomaly_assets.checks.texts import text_of
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.due_days import DUE_DAY_IS_THERE, Due, Freshness
from anomaly_assets.domain.verdicts import Severity, Verdict
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.steps.publish_scores import PUBLISHED
from anomaly_assets.views.freshness import newest_published


@dataclass(frozen=True)
class Watched:
    """Assets whose newest day should be the one that is due.

    Parameters
    ----------
    due : the day that should be there at a moment, zone-aware
    first_day : first day of the home
    assets : their names, upstream first
    table : the table that scored days are written to, where that is one of them
    """

    due: Callable[[datetime], Due]
    first_day: date
    assets: Sequence[str]
    table: str | None = None

    def of(self, home: Home, asset: str, now: datetime) -> Freshness:
        """How new an asset is."""
        in_table = asset == PUBLISHED and self.table
        newest = newest_published(home, in_table) if in_table else home.lake.newest_day(asset)
        return Freshness(newest, self.due(now), self.first_day)


def due_day_checks(watched: Watched, names: DagsterNames) -> Iterator[dg.AssetChecksDefinition]:
    """One check for each watched asset. They look at no single day: the sensor ``freshness`` reports them, and no job
    evaluates them. A button of Dagster's pages still does.
    """
    for asset in watched.assets:
        yield _check_of(asset, names.key(asset), watched)


def _check_of(asset: str, key: dg.AssetKey, watched: Watched) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=key, name=DUE_DAY_IS_THERE, description=text_of(DUE_DAY_IS_THERE).description)
    def evaluate(home: HomeResource, clock: ClockResource) -> dg.AssetCheckResult:
        return result_of(judge(watched.of(home.open(), asset, clock.now())))

    return evaluate


def judge(found: Freshness) -> Verdict:
    """A warning for the one day that a late night may still bring, an error for more; no day due is no failure."""
    if not found.is_overdue:
        return Verdict(DUE_DAY_IS_THERE, True, found.told)
    newest = f"the newest day is {found.newest}" if found.newest else "no day is there"
    severity = Severity.WARN if found.days_behind == 1 else Severity.ERROR
    message = f"{newest}, {found.told}; to make what is missing: {found.command}"
    return Verdict(DUE_DAY_IS_THERE, False, message, severity, numbers={"days behind": found.days_behind})
