"""The job compare_settings: what the launchpad's detection settings would have flagged on a scored day."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from anomaly_assets.assets import plots
from anomaly_assets.assets.metadata import figures, markdown_table
from anomaly_assets.assets.publishing import RETRY, failure
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.errors import PermanentError, TransientError
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.compare import ComparedDay, Comparison, changed_settings, compare_case
from anomaly_assets.resources.detection import DetectionResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.views.what_if import changed, organisations

COMPARE = "compare_settings"
DESCRIPTION = """What other detection settings would have flagged on a scored day; nothing is stored or published.

**Which button to press.** *Launchpad*: choose the day, and write what shall be different below
`resources.detection.config`. The answer stands in the log of the run, and as an observation on the page of the day of
`scored_transactions`. `anomaly-assets compare` and the dashboard's *Model comparison* say the same of several days.
"""
CHANGED = ["tx_completed_at", "tx_id", "wallet_id", "total_amount", "reason"]
"""Shown of a transaction whose flag differs."""
HOW = ("added", "removed")
COUNTED = ("rows", "flagged_then", "flagged_now", *HOW, "recall_then", "recall_now", "precision_then", "precision_now")
SAID = "compared: "
"""Before every name: the day's page shows observations among what its materialization says, and in place of it."""


def settings_comparison_job(days: dg.DailyPartitionsDefinition, names: DagsterNames) -> dg.JobDefinition:
    """The job over the graph's partitions."""

    @dg.op(name="compare", description="Judges, and fits where models change, in memory.", retry_policy=RETRY)
    def compare(context: dg.OpExecutionContext, home: HomeResource, detection: DetectionResource) -> None:
        day, other = date.fromisoformat(context.partition_key), detection.wanted()
        try:
            case = Case.of(home.open(), day, compute=home.compute)
            settings, found = changed_settings(case, other), compare_case(case, other)
        except (PermanentError, TransientError) as error:
            raise failure(error) from error
        said = describe_comparison(settings, found)
        metadata = {f"{SAID}{name}": value for name, value in said.items()}
        context.log_event(dg.AssetObservation(names.key(SCORED), partition=day.isoformat(), metadata=metadata))

    @dg.job(name=names.of(COMPARE), description=DESCRIPTION, partitions_def=days)
    def compare_settings() -> None:
        compare()

    return compare_settings


def describe_comparison(settings: Mapping[str, tuple[Any, Any]], found: ComparedDay) -> Mapping[str, Any]:
    """What the page of the day shows: counts of then (as published) and now (with the other settings), and the rows."""
    comparison = Comparison([found])
    total, rows = comparison.total, {how: changed(comparison, how) for how in HOW}
    both = pa.concat_tables(rows.values())
    counts = total.as_json()
    numbers = {name.replace("_", " "): counts[name] for name in COUNTED}
    return {
        "settings": _settings_table(settings),
        **figures(numbers),
        "by organisation": markdown_table(organisations(comparison)),
        **{f"flags {how}": markdown_table(rows[how], CHANGED) for how in HOW},
        "picture": plots.picture(
            plots.bars(
                {
                    "flagged then": total.flagged_then,
                    "flagged now": total.flagged_now,
                    **{how: getattr(total, how) for how in HOW},
                },
                title="flags then and now",
                of="transactions",
            ),
            plots.by_hour_and_amount(
                (both.column("tx_completed_at").cast("int64").to_numpy() / 3_600_000_000) % 24,
                both.column("total_amount").to_numpy(),
                np.repeat([True, False], [len(rows[how]) for how in HOW]),
                title="flags that differ, added ones in red",
            ),
        ),
    }


def _settings_table(settings: Mapping[str, tuple[Any, Any]]) -> dg.MarkdownMetadataValue:
    if not settings:
        return dg.MetadataValue.md("those of the day: change some in the launchpad")
    then, now = zip(*settings.values(), strict=True)
    columns = {"setting": list(settings), "then": list(map(str, then)), "now": list(map(str, now))}
    return markdown_table(pa.table(columns), rows=len(settings))
