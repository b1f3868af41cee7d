"""published_models_match: the store serves exactly the day's models, or a newer day's."""

from dataclasses import replace
from datetime import date

import dagster as dg

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.model_store import ModelStore
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.checks.partitioned import evaluated_apart, result_of
from anomaly_assets.domain.errors import AnomalyAssetsError, NotServable, StoreRefused, StoreUnavailable
from anomaly_assets.domain.lineage import MODELS
from anomaly_assets.domain.predicates import published_models_match
from anomaly_assets.domain.verdicts import Severity, Verdict
from anomaly_assets.resources.home import HomeResource

NAME = "published_models_match"


def published_models_match_check(asset: dg.AssetKey, days: dg.DailyPartitionsDefinition) -> dg.AssetChecksDefinition:
    """The check of ``asset`` over the graph's partitions."""

    @evaluated_apart(asset, NAME, days)
    def evaluate(
        context: dg.AssetCheckExecutionContext,
        home: HomeResource,
        store: dg.ResourceParam[StoreProvider],
    ) -> dg.AssetCheckResult:
        return result_of(compare(home.open(), store, date.fromisoformat(context.partition_key)))

    return evaluate


def compare(home: Home, store: StoreProvider, day: date) -> Verdict:
    """What the store serves against what the lake holds.

    A server that is away or refuses is no more than a warning: nothing was judged by what it serves.
    """
    try:
        with store.open(home) as server:
            verdict = compare_served(home, server, day)
    except AnomalyAssetsError as error:
        blameless = isinstance(error, StoreUnavailable | StoreRefused) and not isinstance(error, NotServable)
        severity = Severity.WARN if blameless else Severity.ERROR
        return Verdict(NAME, False, f"could not be compared: {error}", severity)
    unserved = home.store_pending.models()
    if verdict.passed or unserved is None or unserved.day != day:
        return verdict
    return replace(verdict, severity=Severity.WARN, message=f"{verdict.message}; {unserved.sentence}")


def compare_served(home: Home, server: ModelStore, day: date) -> Verdict:
    """The same of a store that is open already. Raises what the lake and the store raise."""
    seal = home.lake.require(MODELS, day)
    models = home.lake.read(seal, "models")
    publication = server.published()
    if publication is not None and (publication.as_of, publication.generation) > (day, seal.generation or 0):
        return Verdict(NAME, True, f"superseded: {publication.as_of} is served")
    served = server.published_model_ids(as_of=day, generation=seal.generation or 0)
    if served is None:
        found = f"{publication.as_of} ({publication.state})" if publication else "nothing"
        return Verdict(NAME, False, f"the store serves {found}, not {day}; materialize wallet_models for {day} again")
    return published_models_match(models, {(key.model_type, key.wallet_id): of for key, of in served.items()})
