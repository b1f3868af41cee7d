"""raw_transactions: a day as extracted, validated, de-duplicated and sorted."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import date, datetime, timedelta
from functools import cache, partial
from typing import Any

import dagster as dg
from pydantic import Field

from anomaly_assets.adapters.home import Home
from anomaly_assets.assets import plots
from anomaly_assets.assets.code_references import code_of
from anomaly_assets.assets.graph import INGEST, Graph
from anomaly_assets.assets.metadata import column_schema, markdown_table, numbers_table
from anomaly_assets.assets.publishing import Events, log_for_partition, publish
from anomaly_assets.checks.partitioned import evaluated_by_asset
from anomaly_assets.domain.border import BorderRules, Ledger
from anomaly_assets.domain.border_rules import Refusal
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.domain.schema import TRANSACTIONS
from anomaly_assets.evidence.stale import stale_scores
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.resources.source import TransactionSourceResource
from anomaly_assets.steps.ingest import claim_home, ingest_day
from anomaly_assets.steps.run import Outcome

DESCRIPTION = """One UTC day of transactions as extracted, validated, de-duplicated and sorted by wallet, time and id.

**One row is** a transaction. Everything else is made from these days: corrections start here.

**How to read a day.** Rows in = kept + quarantined + duplicates; *ledger* counts them by reason, *quarantine* shows
refused rows. A day whose *rows in* differ much from the days around it (*Metadata > Plots*) was perhaps not delivered
whole.

**Which button to press.** To ingest days: *Jobs > {ingest_job} > Materialize…* and choose the dates: one
run per date. Here, on the asset or lineage page, *Materialize* of this asset **together with its downstream** spreads
each chosen day to all the days whose training window holds it (180 by default): right after a correction, a surprise
otherwise. Scored days that such a backfill leaves stale are asked for by the sensor `finish_corrections` when it ends.
"""
CHECKS = ("schema", "unique_transaction_ids", "ledger_balances")
SOURCE_KINDS = {"snowflake": "snowflake", "files": "file"}
"""What the page shows of the source the deployment reads."""


class IngestConfig(dg.Config):
    """Launchpad options of one ingest run."""

    late_days: int = Field(
        default=0, description="Ingest this many days before the partition again first, for rows that arrived late."
    )
    known_at: str | None = Field(
        default=None,
        description="Take only rows that had arrived by this moment (ISO 8601, with zone), where the source knows it; "
        "else: by now.",
    )


def raw_transactions_asset(graph: Graph, rules: BorderRules, source_kind: str) -> dg.AssetsDefinition:
    """The asset over the graph's partitions. ``rules`` are the deployment's: a launchpad must not mix raw days."""

    @dg.asset(
        description=DESCRIPTION.format(ingest_job=graph.names.of("ingest_transactions")),
        kinds={SOURCE_KINDS.get(source_kind, "python"), "parquet"},
        code_version="1",
        check_specs=[evaluated_by_asset(graph.key(RAW), name, graph.days, blocking=True) for name in CHECKS],
        metadata={"dagster/column_schema": column_schema(TRANSACTIONS), **code_of(ingest_day)},
        **graph.common(RAW, INGEST, stage="ingest", one_row_is="transaction"),
    )
    def raw_transactions(
        context: dg.AssetExecutionContext,
        config: IngestConfig,
        home: HomeResource,
        source: TransactionSourceResource,
        clock: ClockResource,
    ) -> Events:
        run, day = home.run(context, clock.now), date.fromisoformat(context.partition_key)

        def describe(outcome: Outcome) -> Mapping[str, Any]:
            return {**describe_day(graph, outcome), **_to_make_again(run.home, outcome)}

        opened = cache(partial(source.open, context.run.run_id))

        def ingest(which: date) -> Outcome:
            known_at = datetime.fromisoformat(config.known_at) if config.known_at else clock.now()
            claim_home(run, opened(), home.first)
            return ingest_day(run, opened(), rules, which, known_at=known_at)

        for earlier in _late_days(day, config.late_days, home.first):
            try:
                for event in publish(partial(ingest, earlier), describe):
                    log_for_partition(context, earlier, event)
            except dg.Failure as failed:  # the day of the run must not wait for it
                context.log.error(f"late day {earlier} was not ingested again: {failed.description}")  # noqa: TRY400
            if stale := stale_scores(run.home, earlier):
                context.log.warning(f"scores of {len(stale)} days hold an older {earlier}, the first is {stale[0]}")
        yield from publish(partial(ingest, day), describe)

    return raw_transactions


def _late_days(day: date, count: int, first: date) -> list[date]:
    days = [day - timedelta(days=back) for back in range(count, 0, -1)]
    return [earlier for earlier in days if earlier >= first]


def _to_make_again(home: Home, outcome: Outcome) -> Mapping[str, Any]:
    """What a correction leaves to do."""
    stale = stale_scores(home, outcome.seal.day) if outcome.changed else []
    if not stale:
        return {}
    days = f"{len(stale)} days, {stale[0]} to {stale[-1]}" if len(stale) > 1 else str(stale[0])
    return {
        "scores to make again": f"{days}: they hold an older revision. A backfill of this day with its downstream "
        "makes them again, and the sensor finish_corrections what it leaves; or: anomaly-assets stale --rematerialize"
    }


def describe_day(graph: Graph, outcome: Outcome) -> Mapping[str, Any]:
    """What the page of a raw day shows."""
    kept, day = outcome.tables["kept"], outcome.seal.day
    ledger = dict(outcome.seal.counts)
    hours = (kept.column("tx_completed_at").cast("int64").to_numpy() // 3_600_000_000) % 24
    return {
        "dagster/partition_row_count": kept.num_rows,
        "rows in": ledger["n_in"],
        "kept": ledger["n_kept"],
        "quarantined": ledger["n_quarantined"],
        "duplicate": ledger["n_duplicate"],
        **({"erased": ledger["n_erased"]} if ledger.get("n_erased") else {}),
        "wallets": outcome.numbers["wallets"],
        "ledger": numbers_table(_ledger_rows(ledger)),
        "preview": markdown_table(kept),
        "quarantine": markdown_table(outcome.tables["quarantine"]),
        "distributions": plots.picture(
            plots.histogram(
                kept.column("total_amount").to_numpy(), title="transactions by amount", of="amount", log=True
            ),
            plots.hours_of_day(hours, title="transactions by UTC hour"),
        ),
        **graph.links(RAW, day),
    }


def _ledger_rows(ledger: Mapping[str, Any]) -> dict[str, int]:
    """The ledger's numbers in the order in which it declares them, the reasons last: a seal keeps no order."""
    numbers = [each.name for each in fields(Ledger) if each.name in ledger and each.name != "by_reason"]
    reasons = [reason.value for reason in Refusal if reason.value in ledger["by_reason"]]
    return {**{name: ledger[name] for name in numbers}, **{name: ledger["by_reason"][name] for name in reasons}}
