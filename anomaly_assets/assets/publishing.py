"""From a step to Dagster events: a materialization only for what was published, and what its checks said."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from time import perf_counter
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from anomaly_assets.adapters.seal import Seal
from anomaly_assets.checks.partitioned import results_of
from anomaly_assets.domain.errors import BlockedByCheck, Busy, PermanentError, TransientError
from anomaly_assets.steps.run import Outcome

RETRY = dg.RetryPolicy(max_retries=3, delay=2.0, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For errors a rerun can help with; all others end the step at once."""

MADE_BY = "made by run"
"""What a materialization that was reported from the files says of the run which made it."""

Events = Iterator[dg.AssetCheckResult | dg.MaterializeResult]


def publish(
    step: Callable[[], Outcome],
    describe: Callable[[Outcome], Mapping[str, Any]],
    *,
    on_blocked: Callable[[BlockedByCheck], None] | None = None,
) -> Events:
    """Run ``step``; report its partition with the metadata ``describe`` gives, then its verdicts.

    In this order the verdicts count for the new materialization: before it, Dagster would take them for those of the
    one it replaces and show the day as not checked.

    A failed blocking check is reported and ends the step without a materialization: the previous revision stays
    current, in the lake and on the page.
    """
    began = perf_counter()
    try:
        outcome = step()
    except BlockedByCheck as blocked:
        yield from results_of(blocked.verdicts)
        if on_blocked:
            on_blocked(blocked)
        raise failure(blocked) from blocked
    except (PermanentError, TransientError) as error:
        raise failure(error) from error
    except OSError:
        raise  # a full or failing disk may recover: the retry policy decides
    except Exception as error:
        raise dg.Failure(f"{type(error).__name__}: {error}", allow_retries=False) from error
    seconds = round(perf_counter() - began, 3)
    yield dg.MaterializeResult(
        metadata={**describe(outcome), "seconds": seconds, **provenance(outcome)},
        data_version=dg.DataVersion(outcome.data_version),
    )
    yield from results_of(outcome.verdicts)


def failure(error: PermanentError | TransientError) -> dg.Failure:
    """The error as Dagster shows it, retried only when a rerun may soon help: ``Busy`` has waited long enough."""
    shown = {"found": error.found, "expected": error.expected, "what to do": error.remedy}
    return dg.Failure(
        description=str(error),
        metadata={name: text for name, text in shown.items() if text},
        allow_retries=isinstance(error, TransientError) and not isinstance(error, Busy),
    )


def provenance(outcome: Outcome) -> dict[str, Any]:
    """What every partition says of itself and of the run that made it."""
    return {**sealed(outcome.seal), **written(changed=outcome.changed), "publication log head": outcome.head}


def written(*, changed: bool) -> dict[str, str]:
    """Whether a run wrote anything."""
    return {"written": "yes" if changed else "no: equal content is not written again"}


def sealed(seal: Seal) -> dict[str, Any]:
    """What every partition says of itself, as its seal tells it."""
    return {
        "bytes": seal.n_bytes,
        "revision": seal.revision,
        "seal": seal.seal_id,
        **({"settings": seal.settings_id} if seal.settings_id else {}),
        "files": dg.MetadataValue.md(
            "\n".join(
                f"- {role}: `{file.name}`, {file.n_rows:,} rows, {file.n_bytes:,} bytes"
                for role, file in sorted(seal.files.items())
            )
        ),
    }


def reported_seal(event: dg.AssetMaterialization) -> object:
    """Which seal a materialization told of; None when of none, or of one in a lake apart (releases before 0.4.0)."""
    seal = event.metadata.get("seal")
    return seal.value if seal and "trial" not in event.metadata else None


def run_of(record: dg.EventLogRecord) -> dg.MetadataValue | None:
    """The run that made what a materialization tells of; None when nothing says which.

    A materialization that was reported from the files belongs to no run: it names the one that the log names.
    """
    if record.run_id:
        return dg.MetadataValue.dagster_run(record.run_id)
    event = record.asset_materialization
    return event.metadata.get(MADE_BY) if event else None


def log_for_partition(
    context: dg.AssetExecutionContext, day: date, event: dg.AssetCheckResult | dg.MaterializeResult
) -> None:
    """Record the event of another day than the run's own partition."""
    asset = context.asset_key
    if isinstance(event, dg.AssetCheckResult):
        context.log_event(evaluation_of(event, asset, day, newest_materialization(context.instance, asset, day)))
        return
    version = {"dagster/data_version": event.data_version.value} if event.data_version else {}
    context.log_event(dg.AssetMaterialization(asset, partition=day.isoformat(), metadata=event.metadata, tags=version))


def evaluation_of(
    result: dg.AssetCheckResult,
    asset: dg.AssetKey,
    day: date,
    target: AssetCheckEvaluationTargetMaterializationData | None,
) -> dg.AssetCheckEvaluation:
    """The result of a check of a day as an event; ``target`` is the materialization that it is about."""
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=str(result.check_name),
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
        partition=day.isoformat(),
        target_materialization_data=target,
    )


def newest_materialization(
    instance: dg.DagsterInstance, asset: dg.AssetKey, day: date
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """What a check of the day is about."""
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[day.isoformat()])
    records = instance.fetch_materializations(wanted, limit=1).records
    if not records:
        return None
    (newest,) = records
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=newest.storage_id, run_id=newest.run_id, timestamp=newest.timestamp
    )
