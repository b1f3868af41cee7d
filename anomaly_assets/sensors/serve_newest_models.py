"""serve_newest_models: asks for the newest trained day to be served when neither it nor a newer one is."""

import json
from datetime import datetime, timedelta
from typing import NamedTuple

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.domain.lineage import MODELS
from anomaly_assets.models_serving import SERVE
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource, home_tag
from anomaly_assets.run_tags import REASON_TAG
from anomaly_assets.sensors.of_home import is_of_home

INTERVAL_SECONDS = 60
AGAIN = timedelta(hours=1)
"""What was asked for and did not help is asked for again after so long."""
PATIENCE_SECONDS = 2.0
"""Longest wait for one answer."""
REASON = "not served"


class Look(NamedTuple):
    """What one look at home and store found.

    ``missing`` names what is not served, None when all is; ``can_help`` tells whether a run could help now, ``known``
    whether something waits in the home, so that no run that is publishing right now is the reason.
    """

    missing: str | None
    can_help: bool
    known: bool
    told: str


class Memory(NamedTuple):
    """What a tick leaves to the next: what was not served, and when it was asked for."""

    missing: str | None = None
    asked: datetime | None = None

    @classmethod
    def read(cls, cursor: str | None) -> "Memory":
        """That of a cursor."""
        value = json.loads(cursor or "{}")
        asked = value.get("asked")
        return cls(value.get("missing"), datetime.fromisoformat(asked) if asked else None)

    def written(self) -> str:
        """As a cursor."""
        return json.dumps({"missing": self.missing, "asked": self.asked.isoformat() if self.asked else None})


def serve_newest_models_sensor(names: DagsterNames) -> dg.SensorDefinition:
    """Always switched on: it costs a look, and none while the embedded store does not run and nothing waits for it."""

    @dg.sensor(
        name=names.of("serve_newest_models"),
        job_name=names.of(SERVE),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for the models of the newest trained day to be served when the store serves neither them nor "
        "newer ones, or has an erased wallet to forget: after an outage, or when it came back empty.",
    )
    def serve_newest_models(
        context: dg.SensorEvaluationContext,
        home: HomeResource,
        store: dg.ResourceParam[StoreProvider],
        clock: ClockResource,
    ) -> dg.SensorResult:
        opened, now = home.open(), clock.now()
        days = opened.lake.days(MODELS) if opened.record() else []
        if not days:
            return dg.SensorResult(skip_reason="no day has models yet")
        try:
            look = look_at(opened, store, opened.lake.require(MODELS, days[-1]))
        except AnomalyAssetsError as error:
            return dg.SensorResult(skip_reason=f"nothing can be served now: {error.found}", cursor=context.cursor)
        before = Memory.read(context.cursor)
        asks, memory = decide(look, before, now)
        if asks and _is_under_way(context, opened, job=names.of(SERVE)):
            asks, memory = False, memory._replace(asked=before.asked)
        if not asks:
            return dg.SensorResult(skip_reason=look.told, cursor=memory.written())
        request = dg.RunRequest(
            run_key=f"{days[-1]} at {now.isoformat()}",
            partition_key=days[-1].isoformat(),
            tags={REASON_TAG: REASON, **home_tag(opened)},
        )
        return dg.SensorResult(run_requests=[request], cursor=memory.written())

    return serve_newest_models


def look_at(home: Home, store: StoreProvider, seal: Seal) -> Look:
    """Whether these models, or newer ones, are served and every erased wallet is forgotten; starts no store.

    Raises what the store raises when it is away, refuses, or could not be published to.
    """
    waiting = home.store_pending.sentences()
    models = f"the models of {seal.day}, generation {seal.generation or 0}"
    address = store.running(home)
    if address is None:
        told = "the embedded store does not run (or still loads)"
        return Look("; ".join(waiting) or None, bool(waiting), bool(waiting), told)
    patient = store.for_a_look(PATIENCE_SECONDS)
    with patient.open(home, address) as server:
        published = server.published()
        serves = published is not None and published.serves_at_least(seal.day, seal.generation or 0)
        if serves and not home.store_pending.erasures():
            return Look(None, True, False, f"{models} or newer ones are served")
        server.health().require_publishable()
    return Look(models, True, bool(waiting), f"{models} are not served, perhaps yet: a run may be publishing them")


def decide(look: Look, before: Memory, now: datetime) -> tuple[bool, Memory]:
    """Whether to ask for a run, and what to remember.

    What a run may be publishing right now is asked for when it is still missing at the next look. What was asked for
    is asked for again after :data:`AGAIN`.
    """
    if look.missing is None:
        return False, Memory()
    if not look.can_help or not (look.known or look.missing == before.missing):
        return False, before._replace(missing=look.missing)
    if before.asked is not None and now - before.asked < AGAIN:
        return False, before._replace(missing=look.missing)
    return True, Memory(look.missing, now)


def _is_under_way(context: dg.SensorEvaluationContext, home: Home, *, job: str) -> bool:
    filters = dg.RunsFilter(job_name=job, statuses=NOT_FINISHED_STATUSES)
    return any(is_of_home(context, home, run) for run in context.instance.get_runs(filters=filters))
