"""Reporting sealed days to a Dagster instance that lost them or never had them, from the files alone.

Each current partition becomes a materialization that belongs to no run, with the metadata that its asset shows, the
data version it had and the tags by which Dagster tells what is stale; then what its checks say. What is there already
is left alone, unless Dagster would take it for stale, so it can be stopped anywhere and run again.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime

import dagster as dg
import sqlalchemy as sa
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.adapters.model_store import ModelStore
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.assets.publishing import evaluation_of, newest_materialization
from anomaly_assets.backfill import Progress
from anomaly_assets.checks import published_models_match
from anomaly_assets.checks.partitioned import result_of
from anomaly_assets.composition import build_definitions, graph_of
from anomaly_assets.dagster_instance import open_instance, prepare_instance
from anomaly_assets.dagster_partitions import Deployment, Partition, Tables
from anomaly_assets.dagster_provenance import Recorded, version_tags
from anomaly_assets.dagster_runs import unheard
from anomaly_assets.dagster_server import answered
from anomaly_assets.domain.errors import AnomalyAssetsError, StoreRefused, StoreUnavailable
from anomaly_assets.domain.families import Family, assets_of
from anomaly_assets.domain.lineage import Edge
from anomaly_assets.evidence.commits import Commits
from anomaly_assets.evidence.lineage import Lineage
from anomaly_assets.installed_families import part
from anomaly_assets.resources.home import home_tag
from anomaly_assets.settings import Settings

WORK = "report to Dagster"
"""What progress is shown of."""
REPORTED = "reported again"
"""Marks what was reported without a run: when."""
LOCK_SECONDS = 5.0
"""How long to wait for another process that does the same."""


@dataclass
class Restored:
    """What was done.

    Parameters
    ----------
    materializations, checks : how many were reported
    there : partitions of which nothing was missing
    failed : (asset, day) to why it could not be reported: the others were
    """

    materializations: int = 0
    checks: int = 0
    there: int = 0
    failed: dict[tuple[str, date], str] = field(default_factory=dict)


def restore(
    settings: Settings,
    progress: Progress,
    families: Sequence[Family],
    *,
    now: Callable[[], datetime],
    say: Callable[[str], None] = unheard,
) -> Restored:
    """Report every current partition of the home, which is there, that its Dagster instance has not.

    Parameters
    ----------
    families : whose partitions are reported
    now : the clock, for the mark of what is reported
    say : told what was changed or mended in the instance, and which check cannot be reported

    Raises ``CorruptFile`` when the publication log is damaged, ``Busy`` while another process does the same,
    ``InstanceUnavailable`` when the server that keeps Dagster's records stops to answer.
    """
    home = Home(settings.home)
    folder = prepare_instance(settings, say=say)
    with ExitStack() as stack:
        stack.enter_context(exclusive(home.root / "locks" / "dagster_restore.lock", timeout_seconds=LOCK_SECONDS))
        instance = stack.enter_context(open_instance(folder))
        stack.enter_context(answered(folder))
        server = _store(stack, home, settings, say)
        return _Restoring(settings, families, home, instance, server, now).run(progress)


class _Restoring:
    def __init__(
        self,
        settings: Settings,
        families: Sequence[Family],
        home: Home,
        instance: dg.DagsterInstance,
        server: ModelStore | None,
        now: Callable[[], datetime],
    ) -> None:
        lineage = Lineage(home.lake, settings.detection.settings_ids)
        commits = Commits.read(home.log)
        graph = graph_of(settings, families)
        self._deployment = Deployment(settings, home, Tables(home), graph, instance, server, lineage, commits)
        self._names = graph.names
        self._families, self._assets = families, graph.assets
        self._daily = {asset.name: asset for asset in assets_of(families)}
        self._graph = build_definitions(settings, families).resolve_asset_graph()
        self._recorded = Recorded(instance, self._assets, self._names)
        self._instance, self._now, self._done = instance, now, Restored()

    def run(self, progress: Progress) -> Restored:
        """Report what is missing, inputs before what was made from them."""
        partitions = [
            day for family in self._families if family.restored for day in part(family.restored)(self._deployment)
        ]
        self._done.failed.update(self._deployment.unreadable)
        judged = {asset: self._judged(asset, partitions) for asset in self._assets}
        waiting: list[tuple[Partition, set[str]]] = []
        for partition in partitions:
            checks = {name for name in partition.checks if (name, str(partition.day)) not in judged[partition.asset]}
            if checks or not self._has(partition):
                waiting.append((partition, checks))
            else:
                self._done.there += 1
        if waiting:
            progress.start(WORK, len(waiting))
        for partition, checks in waiting:
            try:
                self._report(partition, checks)
            except AnomalyAssetsError as error:
                self._done.failed[partition.asset, partition.day] = str(error)
            progress.advance(WORK, partition.day, (partition.asset, partition.day) not in self._done.failed)
        return self._done

    def _judged(self, asset: str, partitions: Sequence[Partition]) -> set[tuple[str, str]]:
        return self._recorded.judged(
            asset, sorted({name for each in partitions if each.asset == asset for name in each.checks})
        )

    def _has(self, partition: Partition) -> bool:
        asset, day, recorded = partition.asset, partition.day, self._recorded
        return recorded.has(asset, day, partition.data_version) and recorded.sees(asset, day, partition.made_from)

    def _report(self, partition: Partition, checks: set[str]) -> None:
        asset, day, home = partition.asset, partition.day, home_tag(self._deployment.home)
        key = self._names.key(asset)
        mark = {REPORTED: dg.MetadataValue.timestamp(self._now())}
        materialization = None
        if not self._has(partition):
            checks = set(partition.checks)
            materialization = dg.AssetMaterialization(
                key,
                partition=day.isoformat(),
                metadata={**partition.metadata(), **mark},
                tags={**self._tags(partition), **home},  # no run tells whose it is
            )
        results = [result_of(partition.checks[name]()) for name in partition.checks if name in checks]
        if not partition.is_current():
            return  # a run made it again meanwhile, and reported it
        if materialization is not None:
            self._instance.report_runless_asset_event(materialization)
            self._done.materializations += 1
        failpoint(f"{asset}.reported")
        target = newest_materialization(self._instance, key, day)
        if materialization is not None and target is not None:
            self._recorded.add(asset, day, partition.data_version, target.storage_id)
        whose = {name: dg.MetadataValue.text(home_id) for name, home_id in home.items()}
        _forget_reported(self._instance, key, day, checks)
        for result in results:
            marked = result._replace(metadata={**result.metadata, **mark, **whose})
            self._instance.report_runless_asset_event(evaluation_of(marked, key, day, target))
            self._done.checks += 1

    def _tags(self, partition: Partition) -> dict[str, str]:
        node = self._graph.get(self._names.key(partition.asset))
        made_from = sorted(partition.made_from, key=lambda each: each.edge.partition)
        inputs = []
        for upstream in sorted(filter(None, map(self._names.asset, node.parent_keys))):
            edges = [each for each in made_from if each.edge.asset == upstream]
            inputs.append((upstream, edges, [version for each in edges if (version := self._version(each.edge))]))
        code_version = partition.code_version(str(node.code_version))
        return version_tags(self._recorded, partition.data_version, code_version, inputs)

    def _version(self, edge: Edge) -> str | None:
        """Data version of what an edge leads to, as it was used."""
        asset = self._daily.get(edge.asset)
        if asset is None or edge.revision is None or not asset.version_inputs:
            return edge.revision
        return asset.data_version(
            edge.revision, self._deployment.home.lake.require(asset.name, edge.day, edge.revision).inputs
        )


def _forget_reported(instance: dg.DagsterInstance, asset: dg.AssetKey, day: date, checks: set[str]) -> None:
    """Remove what was reported of some checks of a day: Dagster's database takes one result without a run of each.

    Killed before the new ones are reported, the day counts as not checked, and the next call reports them.
    """
    storage, table = instance.event_log_storage, AssetCheckExecutionsTable
    if not isinstance(storage, SqlEventLogStorage):
        return
    reported = sa.and_(
        table.c.asset_key == asset.to_string(),
        table.c.check_name.in_(sorted(checks)),
        table.c.run_id == RUNLESS_RUN_ID,
        table.c.partition == day.isoformat(),
    )
    with storage.index_connection() as connection:
        if connection.dialect.name == "sqlite":  # an erasure does not look for wallets in free pages
            connection.exec_driver_sql("PRAGMA secure_delete = ON")
        connection.execute(sa.delete(table).where(reported))


def _store(stack: ExitStack, home: Home, settings: Settings, say: Callable[[str], None]) -> ModelStore | None:
    """The store, when it serves something to compare with; none is started, which would write into the home."""
    provider = StoreProvider.from_settings(settings.redis)
    try:
        address = provider.running(home)
        if address is None:
            found = "the embedded store does not run (or still loads)"
        else:
            server = stack.enter_context(provider.open(home, address))
            if server.published() is not None:
                return server
            found = "the store serves nothing"
    except (StoreUnavailable, StoreRefused) as error:
        found = f"the store cannot be read ({error.found})"
    say(
        f"{found}, so {published_models_match.NAME} is not reported; when it serves the newest day again "
        "(anomaly-assets store publish), run this command once more"
    )
    return None
