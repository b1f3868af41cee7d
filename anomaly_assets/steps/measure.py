"""anomaly_metrics: measure a scored day."""

from datetime import date

import pyarrow as pa

from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.domain.algorithms import flags_of
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.layouts import LAYOUTS
from anomaly_assets.domain.lineage import METRICS, SCORED, WINDOW, Edge
from anomaly_assets.domain.metrics import daily_metrics
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.settings import Detection
from anomaly_assets.steps.run import Outcome, Run
from anomaly_assets.steps.settings_record import recorded_settings

FIGURES = ["n_rows", "n_judged", "n_flagged", "coverage", "rate", "disagreement"]


def measure_day(run: Run, detection: Detection, day: date) -> Outcome:
    """Counts, rates, coverage and disagreement of the day's current scores."""
    with run.writing(run.home.lake, METRICS, day) as writer:
        scored_seal = run.home.lake.require(SCORED, day)
        window_seal = run.home.lake.require(WINDOW, day, scored_seal.inputs["window"])
        scored = run.home.lake.read(scored_seal, "scored")
        window = run.home.lake.read(window_seal, "wallets", ["wallet_id", "n_transactions"])
        # those that judged the day: the configured ones may be others by now
        judging = recorded_settings(run.home, scored_seal.settings_id or "").detectors
        metrics = daily_metrics(day, scored, window, [each.name for each in judging], flags_of(judging))
        staged = writer.stage({"metrics": metrics})
        revision = table_digest(metrics)
        seal, changed = writer.commit(
            staged,
            revision=revision,
            verdicts=(),
            still_current=[scored_seal],
            lineage=[
                *(Edge.to_day(seal.asset, day, seal.revision) for seal in (scored_seal, window_seal)),
                Edge.to_settings(detection.settings_id),
            ],
            inputs={"scored": scored_seal.revision, "window": window_seal.revision},
            layout=LAYOUTS[METRICS],
            settings_id=detection.settings_id,
            generation=scored_seal.generation,
        )
        head = run.log(seal)
        failpoint(f"{METRICS}.logged")
    return Outcome(seal, changed, (), {"metrics": metrics}, metric_figures(metrics), head)


def metric_figures(metrics: pa.Table) -> JsonObject:
    """What is shown of a day's metrics: those over all its rows."""
    over_all: JsonObject = metrics.select(FIGURES).slice(0, 1).to_pylist()[0]
    return over_all
