"""The one place that makes checks partitioned by day, which Dagster still calls a preview."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import dagster as dg
from dagster import PreviewWarning

from anomaly_assets.assets.metadata import figures
from anomaly_assets.checks.texts import CheckText, remedy_of, text_of
from anomaly_assets.domain.verdicts import Severity, Verdict


@contextmanager
def preview_accepted() -> Iterator[None]:
    """Partitioned checks are a preview API of Dagster 1.13: accepted here, and nothing else."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*partitions_def.*", category=PreviewWarning)
        yield


def evaluated_by_asset(
    asset: dg.AssetKey,
    name: str,
    partitions: dg.PartitionsDefinition[str],
    *,
    blocking: bool,
    text: CheckText | None = None,
) -> dg.AssetCheckSpec:
    """A check that the asset itself evaluates on its staged files, before anything is published.

    ``text`` is what is said of it; None: what this package says of a check of that name.
    """
    with preview_accepted():
        return dg.AssetCheckSpec(
            name,
            asset=asset,
            description=(text or text_of(name)).description,
            blocking=blocking,
            partitions_def=partitions,
        )


def evaluated_apart(
    asset: dg.AssetKey, name: str, partitions: dg.PartitionsDefinition[str]
) -> Callable[[Callable[..., dg.AssetCheckResult]], dg.AssetChecksDefinition]:
    """Decorator of a check of what is published; it can also be run alone, from the UI."""

    def decorate(evaluate: Callable[..., dg.AssetCheckResult]) -> dg.AssetChecksDefinition:
        with preview_accepted():
            described = text_of(name).description
            return dg.asset_check(asset=asset, name=name, description=described, partitions_def=partitions)(evaluate)

    return decorate


def result_of(verdict: Verdict) -> dg.AssetCheckResult:
    """The verdict as Dagster shows it; one that failed says what to do."""
    remedy = None if verdict.passed else remedy_of(verdict.check)
    return dg.AssetCheckResult(
        check_name=verdict.check,
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.WARN if verdict.severity is Severity.WARN else dg.AssetCheckSeverity.ERROR,
        description=verdict.message,
        metadata={**figures(verdict.numbers), **({"what to do": remedy} if remedy else {})},
    )


def results_of(verdicts: Sequence[Verdict]) -> list[dg.AssetCheckResult]:
    """All verdicts as Dagster shows them."""
    return [result_of(verdict) for verdict in verdicts]
