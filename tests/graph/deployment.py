"""A deployment in a folder of its own, run through the project's real jobs on a real Dagster instance."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from dagster._core.event_api import PartitionKeyFilter
from dagster_shared.record import replace
from redis import Redis
from short_folders import short_base

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.publication_log import LogEntry
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.composition import build_definitions
from anomaly_assets.jobs import DETECT, INGEST
from anomaly_assets.settings import Settings, load_settings
from graph.invented import FIRST, WINDOW_DAYS

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
SMALL = {
    "window.days": WINDOW_DAYS,
    "statistical.min_transactions": 6,
    "isolation_forest.min_transactions": 30,
    "isolation_forest.n_estimators": 8,
    "isolation_forest.max_samples": 64,
    "lock_timeout_seconds": 60,
}
"""Settings under which a day takes less than a second."""

CHECKS = {
    "raw_transactions": ("schema", "unique_transaction_ids", "ledger_balances"),
    "training_window": (
        "window_complete",
        "no_look_ahead",
        "statistical_eligibility",
        "isolation_forest_eligibility",
    ),
    "wallet_models": ("every_eligible_wallet_has_a_model", "published_models_match"),
    "scored_transactions": (
        "every_transaction_judged_once",
        "unified_flag_is_the_or",
        "coverage_within_bounds",
        "anomaly_rate_within_bounds",
        "scores_follow_from_current_days",
    ),
}
"""Every check by its asset, as each run of a day evaluates them."""
NIGHTLY_CHECKS = {"scored_transactions": ("sampled_flags_verify",)}
"""What runs of detect_anomalies leave out."""
CLOCK_CHECKS = {"raw_transactions": ("due_day_is_there",), "scored_transactions": ("due_day_is_there",)}
"""What the sensor freshness reports, and no run of a day evaluates."""

Files = dict[str, tuple[str, int]]
Deploy = Callable[..., "Deployment"]
"""The fixture ``deploy``."""


class Deployment:
    """Settings, definitions and instance over one home.

    Parameters
    ----------
    folder : holds ``home``; short, because the embedded store listens below it
    instance : where runs and events are recorded
    resources : Dagster resources instead of the deployment's own
    overrides : dotted settings, over ``SMALL``
    """

    def __init__(
        self, folder: Path, instance: dg.DagsterInstance, resources: Mapping[str, Any] | None = None, **overrides: Any
    ) -> None:
        self.folder, self.instance, self._resources = folder, instance, dict(resources or {})
        nothing = folder / "anomaly.yaml"
        nothing.touch()
        self.settings: Settings = load_settings(
            nothing, environ={}, overrides={**SMALL, "home": folder / "home", **overrides}
        )

    @property
    def home(self) -> Home:
        """The home."""
        return Home(self.settings.home)

    @cached_property
    def definitions(self) -> dg.Definitions:
        """What Dagster runs."""
        built = build_definitions(self.settings)
        return replace(built, resources={**(built.resources or {}), **self._resources})

    def run(
        self,
        job: str,
        day: date,
        *,
        config: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        only: Sequence[str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run a job for a day, or ``only`` some of its assets with their checks."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            partition_key=day.isoformat(),
            instance=self.instance,
            run_config={**QUIET, **(config or {})},
            tags=dict(tags or {}),
            asset_selection=[dg.AssetKey(name) for name in only] if only else None,
            raise_on_error=False,
        )

    def ingest(self, *days: date) -> None:
        """Ingest days; all must succeed."""
        for day in days:
            result = self.run(INGEST, day)
            assert result.success, error_of(result)

    def detect(self, *days: date) -> None:
        """Train and score days; all must succeed."""
        for day in days:
            result = self.run(DETECT, day)
            assert result.success, error_of(result)

    def evaluation(self, check: str, day: date) -> dg.AssetCheckEvaluation | None:
        """The newest result of a check for a day, as the instance tells it; None when it has none."""
        asset = next(asset for part in (CHECKS, NIGHTLY_CHECKS) for asset, names in part.items() if check in names)
        records = self.instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(asset), check),
            limit=1,
            partition_filter=PartitionKeyFilter(key=day.isoformat()),
        )
        if not records or not records[0].event or not records[0].event.dagster_event:
            return None
        event = records[0].event.dagster_event
        return event.asset_check_evaluation_data if event.event_type_value == "ASSET_CHECK_EVALUATION" else None

    def failed_checks(self, day: date) -> set[str]:
        """Checks whose newest result for a day is a failure."""
        found = {name: self.evaluation(name, day) for names in CHECKS.values() for name in names}
        return {name for name, evaluation in found.items() if evaluation and not evaluation.passed}

    def materializations(self, asset: str, day: date) -> list[dg.AssetMaterialization]:
        """Events of one partition, newest first."""
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[day.isoformat()])
        records = self.instance.fetch_materializations(wanted, limit=100).records
        return [record.asset_materialization for record in records if record.asset_materialization]

    def seal(self, asset: str, day: date) -> Seal:
        """The current seal of a partition."""
        return self.home.lake.require(asset, day)

    def table(self, asset: str, day: date, role: str) -> pa.Table:
        """A sealed table."""
        return self.home.lake.read(self.seal(asset, day), role)

    def published(self, day: date) -> pa.Table:
        """The published file of a day."""
        return pq.read_table(self.home.published_path(day), partitioning=None)

    def rows(self, day: date) -> dict[str, dict[str, Any]]:
        """Published rows of a day by transaction id."""
        return {row["TX_ID"]: row for row in self.published(day).to_pylist()}

    def model_ids(self, day: date) -> dict[tuple[str, str], str]:
        """(detector, wallet) to model id of a day."""
        rows = self.table("wallet_models", day, "models").to_pylist()
        return {(row["detector"], row["wallet_id"]): row["model_id"] for row in rows}

    def files(self, *below: str) -> Files:
        """Digest and time of change of every file below folders of the home, by its path; locks are no content."""
        folders = [self.settings.home / name for name in below or ("lake", "output", "models")]
        return {
            str(path.relative_to(self.settings.home)): (_digest(path), path.stat().st_mtime_ns)
            for folder in folders
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix != ".lock"
        }

    def contents(self, *below: str) -> dict[str, str]:
        """Digest of every file below folders of the home, by its path."""
        return {name: digest for name, (digest, _) in self.files(*below).items()}

    def temporary_files(self) -> list[Path]:
        """Unfinished files anywhere in the home."""
        return list(self.settings.home.rglob(".*.tmp"))

    def log_entries(self) -> list[LogEntry]:
        """The publication log, its chain verified."""
        return list(self.home.log.entries())

    def says(self, result: dg.ExecuteInProcessResult, text: str) -> bool:
        """Whether a log message of the run holds ``text``."""
        return any(
            text in entry.message or text in entry.user_message for entry in self.instance.all_logs(result.run_id)
        )

    @contextmanager
    def server(self) -> Iterator[Any]:
        """A plain client of the model store (``redis.Redis``, whose answers have no useful types)."""
        with Redis.from_url(StoreProvider.from_settings(self.settings.redis).resolve(self.home)) as client:
            yield client

    def served(self) -> dict[str, Any]:
        """Everything in the store but run ids and update times."""
        with self.server() as client:
            return {key.decode(): _value(client, key) for key in sorted(client.keys("*"))}

    def close(self) -> None:
        """End the embedded store and the instance."""
        store = StoreProvider.from_settings(self.settings.redis)
        if not self.settings.redis.url:
            store.embedded(self.home).stop()
        self.instance.dispose()


@contextmanager
def standing(home: Path, **overrides: Any) -> Iterator[Deployment]:
    """A deployment on a copy of ``home`` that several tests share."""
    folder = Path(tempfile.mkdtemp(prefix="aag-", dir=short_base()))
    shutil.copytree(home, folder / "home")
    deployment = Deployment(folder, dg.DagsterInstance.ephemeral(), **overrides)
    try:
        yield deployment
    finally:
        deployment.close()
        shutil.rmtree(folder, ignore_errors=True)


def error_of(result: dg.ExecuteInProcessResult) -> str:
    """What the first failed step of a run said."""
    for event in result.all_events:
        if event.is_step_failure:
            return json.dumps(event.step_failure_data.error, default=str) + str(
                event.step_failure_data.user_failure_data
            )
    return ""


def _value(client: Any, key: bytes) -> Any:
    kind = client.type(key)
    if kind == b"hash":
        return {name: value for name, value in client.hgetall(key).items() if name != b"run_id"}
    return sorted(client.zrange(key, 0, -1)) if kind == b"zset" else client.get(key)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def source_of(files: Path) -> dict[str, Any]:
    """Settings of a source of daily files from FIRST on."""
    return {"source.kind": "files", "source.files.path": files, "first_day": FIRST}
