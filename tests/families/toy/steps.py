"""What the two assets do; a step knows no Dagster."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow as pa

from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.lineage import RAW, Edge
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.domain.verdicts import Verdict
from anomaly_assets.steps.run import Outcome, Run
from families.toy.family import JUDGEMENTS, MODEL, TOY
from families.toy.judging import fitted, judged
from families.toy.settings import settings_id, times

EVERY_ROW = "every_row_is_judged"


def train_toy(run: Run, day: date) -> Outcome:
    """Fit the model of a day."""
    raw = run.home.lake.require(RAW, day)
    return _sealed(run, MODEL, day, "model", fitted(run.home.lake.read(raw, "transactions")), [raw])


def judge_toy(run: Run, day: date) -> Outcome:
    """Judge a day by its model."""
    lake = run.home.lake
    raw, model = lake.require(RAW, day), lake.require(MODEL, day)
    kept = lake.read(raw, "transactions")
    table = judged(kept, lake.read(model, "model"), times())
    complete = table.num_rows == kept.num_rows
    verdict = Verdict(EVERY_ROW, complete, f"{table.num_rows} of {kept.num_rows} rows are judged")
    made_with = {"inputs": {"times": times()}, "settings_id": settings_id()}
    return _sealed(run, JUDGEMENTS, day, "judged", table, [raw, model], [verdict], **made_with)


def _sealed(
    run: Run,
    asset: str,
    day: date,
    role: str,
    table: pa.Table,
    made_from: Sequence[Seal],
    verdicts: Sequence[Verdict] = (),
    **made_with: Any,
) -> Outcome:
    edges = [Edge.to_day(seal.asset, day, seal.revision) for seal in made_from]
    if made_with:
        edges.append(Edge.to_settings(made_with["settings_id"], TOY.name))
    with run.writing(run.home.lake, asset, day) as writer:
        staged = writer.stage({role: table})
        seal, changed = writer.commit(
            staged,
            revision=table_digest(table),
            verdicts=verdicts,
            still_current=made_from,
            lineage=edges,
            **made_with,
        )
        head = run.log(seal)
    return Outcome(seal, changed, tuple(verdicts), {role: table}, {"rows": table.num_rows}, head)
