"""What the family registers in Dagster: two assets, a check, a job."""

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any

import dagster as dg

from anomaly_assets.assets.graph import Graph
from anomaly_assets.assets.publishing import Events, publish
from anomaly_assets.checks.partitioned import evaluated_by_asset
from anomaly_assets.checks.texts import CheckText
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.jobs import asset_job
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.settings import Settings
from anomaly_assets.steps.run import Outcome
from families.toy.family import JUDGEMENTS, MODEL, TOY
from families.toy.steps import EVERY_ROW, judge_toy, train_toy

SAID = CheckText(
    "Every row of the day is judged.", "A row that is left out is taken for small.", "judge the day again."
)


def definitions(settings: Settings, graph: Graph) -> dg.Definitions:
    """Everything that trains and judges days."""

    @dg.asset(
        description="The usual amount of day D.\n\n**One row is** the model.",
        deps=[graph.key(RAW)],
        kinds={"python"},
        code_version="1",
        metadata=columns("scope", "model_id", "usual", "n_rows"),
        **graph.common(MODEL, TOY.name, stage="train", one_row_is="model"),
    )
    def toy_model(context: dg.AssetExecutionContext, home: HomeResource, clock: ClockResource) -> Events:
        run, day = home.run(context, clock.now), date.fromisoformat(context.partition_key)
        yield from publish(partial(train_toy, run, day), partial(described, graph))

    @dg.asset(
        description="Which transactions of day D are large.\n\n**One row is** a transaction.",
        deps=[graph.key(RAW), graph.key(MODEL)],
        kinds={"python"},
        code_version="1",
        metadata=columns("tx_id", "wallet_id", "amount", "is_large", "model_id"),
        check_specs=[evaluated_by_asset(graph.key(JUDGEMENTS), EVERY_ROW, graph.days, blocking=True, text=SAID)],
        **graph.common(JUDGEMENTS, TOY.name, stage="score", one_row_is="transaction"),
    )
    def toy_judgements(context: dg.AssetExecutionContext, home: HomeResource, clock: ClockResource) -> Events:
        run, day = home.run(context, clock.now), date.fromisoformat(context.partition_key)
        yield from publish(partial(judge_toy, run, day), partial(described, graph))

    job = asset_job(graph, TOY.job, TOY.names, "Train the toy on the chosen days and judge them by it.")
    return dg.Definitions(assets=[toy_model, toy_judgements], jobs=[job])


def columns(*names: str) -> Mapping[str, dg.TableSchema]:
    """Metadata of an asset that says what columns its rows have."""
    return {"dagster/column_schema": dg.TableSchema([*map(dg.TableColumn, names)])}


def described(graph: Graph, outcome: Outcome) -> Mapping[str, Any]:
    """What the page of a day shows."""
    asset, day = outcome.seal.asset, outcome.seal.day
    return {"rows": outcome.numbers["rows"], **graph.links(asset, day, *(["toy"] if asset == JUDGEMENTS else []))}
