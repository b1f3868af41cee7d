"""Reporting sealed days to a Dagster instance that lost them or never had them, from the files alone.

Each current partition becomes a materialization that belongs to no run, with the metadata that its asset shows, the
data version it had and the tags by which Dagster tells what is stale; then what its checks say. What is there already
is left alone, unless Dagster would take it for stale, so it can be stopped anywhere and run again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any, Protocol

import dagster as dg
import sqlalchemy as sa
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.adapters.model_store import ModelStore
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.assets.anomaly_metrics import describe_metrics
from anomaly_assets.assets.graph import ORDER, Graph
from anomaly_assets.assets.published_scores import describe_published
from anomaly_assets.assets.publishing import MADE_BY, evaluation_of, newest_materialization, sealed, written
from anomaly_assets.assets.raw_transactions import describe_day
from anomaly_assets.assets.scored_transactions import describe_scores
from anomaly_assets.assets.training_window import describe_window
from anomaly_assets.assets.wallet_models import code_version_of, describe_models
from anomaly_assets.backfill import Progress
from anomaly_assets.checks import published_models_match, score_bounds, scores_follow
from anomaly_assets.checks.partitioned import result_of
from anomaly_assets.composition import build_definitions, graph_of
from anomaly_assets.dagster_instance import open_instance, prepare_instance
from anomaly_assets.dagster_provenance import Recorded, version_tags
from anomaly_assets.dagster_runs import unheard
from anomaly_assets.dagster_server import answered
from anomaly_assets.domain.errors import AnomalyAssetsError, HomeMismatch, StoreRefused, StoreUnavailable
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW, Compared, Edge, Kind
from anomaly_assets.domain.predicates import anomaly_rate_within_bounds, coverage_within_bounds
from anomaly_assets.domain.verdicts import Verdict
from anomaly_assets.evidence.commits import Commit, Commits
from anomaly_assets.evidence.lineage import Lineage
from anomaly_assets.resources.home import home_tag
from anomaly_assets.settings import Settings
from anomaly_assets.steps.publish_scores import PUBLISHED, published_day, published_revision
from anomaly_assets.steps.run import Outcome, data_version_of
from anomaly_assets.steps.sealed import detectors_of, outcome_of, verdicts_of
from anomaly_assets.steps.settings_record import recorded_settings

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
    settings: Settings, progress: Progress, *, now: Callable[[], datetime], say: Callable[[str], None] = unheard
) -> Restored:
    """Report every current partition of the home that its Dagster instance has not.

    Parameters
    ----------
    now : the clock, for the mark of what is reported
    say : told what was changed or mended in the instance, and which check cannot be reported

    Raises ``HomeMismatch`` where there is no home, ``CorruptFile`` when the publication log is damaged, ``Busy`` while
    another process does the same, ``InstanceUnavailable`` when the server that keeps Dagster's records stops to answer.
    """
    home = Home(settings.home)
    if home.record() is None:
        raise HomeMismatch(
            f"{home.root} is not a home yet",
            expected="a home with sealed days",
            remedy="name it with --home, or run in the folder of its anomaly.yaml",
        )
    folder = prepare_instance(settings, say=say)
    with ExitStack() as stack:
        stack.enter_context(exclusive(home.root / "locks" / "dagster_restore.lock", timeout_seconds=LOCK_SECONDS))
        instance = stack.enter_context(open_instance(folder))
        stack.enter_context(answered(folder))
        server = _store(stack, home, settings, say)
        return _Restoring(settings, home, instance, server, now).run(progress)


class Partition(Protocol):
    """What is reported of one partition."""

    asset: str
    day: date

    @property
    def data_version(self) -> str:
        """What Dagster was told of it."""

    @property
    def checks(self) -> Mapping[str, Callable[[], Verdict]]:
        """What each check says of it."""

    @property
    def made_from(self) -> Sequence[Compared]:
        """The partitions that Dagster's graph leads to, in the revision that was used, against what is current."""

    def code_version(self, configured: str) -> str:
        """Which code made it; ``configured`` is that of the deployment."""

    def metadata(self) -> dict[str, Any]:
        """What its page shows."""

    def is_current(self) -> bool:
        """Whether it is yet what it was when it was looked at."""


@dataclass
class _Tables:
    """Those of the partition that was asked for last: a home's together do not fit into memory."""

    home: Home
    last: Outcome | None = None

    def of(self, seal: Seal) -> Outcome:
        """What its step handed back. Raises as :func:`outcome_of`."""
        if self.last is None or self.last.seal.seal_id != seal.seal_id:
            self.last = None  # before the next ones are read
            self.last = outcome_of(self.home, seal)
        return self.last


@dataclass
class _Deployment:
    """What all partitions are described with."""

    settings: Settings
    home: Home
    tables: _Tables
    graph: Graph
    instance: dg.DagsterInstance
    server: ModelStore | None
    lineage: Lineage
    commits: Commits


@dataclass
class _Sealed:
    """A partition of the lake."""

    deployment: _Deployment
    seal: Seal

    def __post_init__(self) -> None:
        self.asset, self.day = self.seal.asset, self.seal.day

    @property
    def since(self) -> int:
        """Line of the log from which on it has been current; 0 when the log does not name it."""
        commit = self.deployment.commits.of(self.seal)
        return commit.since if commit else 0

    @property
    def data_version(self) -> str:
        return data_version_of(self.seal)

    @property
    def made_from(self) -> Sequence[Compared]:
        lineage = self.deployment.lineage
        edges = [each for each in lineage.compared(self.seal) if each.edge.kind is Kind.PARTITION]
        return [*edges, *lineage.raw_days(self.seal)] if self.asset == MODELS else edges

    @property
    def checks(self) -> Mapping[str, Callable[[], Verdict]]:
        of_files = {verdict.check: partial(_same, verdict) for verdict in verdicts_of(self.seal)}
        return {**of_files, **self._checks_apart()}

    def code_version(self, configured: str) -> str:
        if self.asset != MODELS:
            return configured
        return code_version_of(recorded_settings(self.deployment.home, str(self.seal.settings_id)).detectors)

    def metadata(self) -> dict[str, Any]:
        commit = self.deployment.commits.of(self.seal)
        return {**self._described(), **sealed(self.seal), **(_logged(commit) if commit else {})}

    def is_current(self) -> bool:
        now = self.deployment.home.lake.find(self.asset, self.day)
        return now is not None and now.seal_id == self.seal.seal_id

    def _outcome(self) -> Outcome:
        return self.deployment.tables.of(self.seal)

    def _described(self) -> Mapping[str, Any]:
        graph = self.deployment.graph
        describe: Mapping[str, Callable[[Outcome], Mapping[str, Any]]] = {
            RAW: partial(describe_day, graph),
            WINDOW: partial(describe_window, graph),
            MODELS: partial(describe_models, graph),
            SCORED: partial(describe_scores, graph, self.deployment.instance),
            METRICS: partial(describe_metrics, graph),
        }
        return describe[self.asset](self._outcome())

    def _checks_apart(self) -> Mapping[str, Callable[[], Verdict]]:
        """Those of what is published, as they judge it now. Which flags a night picked to prove is not in the files."""
        deployment = self.deployment
        server = deployment.server
        if self.asset == MODELS and server is not None:
            compare = partial(published_models_match.compare_served, deployment.home, server, self.day)
            return {published_models_match.NAME: compare}
        if self.asset == SCORED:
            return {
                score_bounds.COVERAGE: self._coverage,
                score_bounds.RATE: self._rate,
                scores_follow.NAME: partial(scores_follow.follow, deployment.lineage, self.day),
            }
        return {}

    def _coverage(self) -> Verdict:
        floor = self.deployment.settings.checks.min_coverage
        names = detectors_of(self.deployment.home, self.seal)
        return coverage_within_bounds(self._outcome().tables["scored"], names, min_coverage=floor)

    def _rate(self) -> Verdict:
        ceiling = self.deployment.settings.checks.max_anomaly_rate
        names = detectors_of(self.deployment.home, self.seal)
        return anomaly_rate_within_bounds(self._outcome().tables["scored"], names, max_rate=ceiling)


@dataclass
class _Delivered:
    """A scored day that a table elsewhere was given."""

    deployment: _Deployment
    table: str
    day: date
    data_version: str
    """Revision of the scores."""
    asset: str = PUBLISHED
    checks: Mapping[str, Callable[[], Verdict]] = field(default_factory=dict)

    @property
    def made_from(self) -> Sequence[Compared]:
        now = self.deployment.lineage.current(SCORED, self.day).now
        return [Compared(Edge.to_day(SCORED, self.day, self.data_version), now)]

    def code_version(self, configured: str) -> str:
        return configured

    def metadata(self) -> dict[str, Any]:
        published = published_day(self.deployment.home, self.day, self.data_version)
        return dict(describe_published(self.deployment.graph, self.table, self.day, published))

    def is_current(self) -> bool:
        return published_revision(self.deployment.home, self.table, self.day) == self.data_version


class _Restoring:
    def __init__(
        self,
        settings: Settings,
        home: Home,
        instance: dg.DagsterInstance,
        server: ModelStore | None,
        now: Callable[[], datetime],
    ) -> None:
        lineage = Lineage(home.lake, settings.detection.settings_id)
        commits = Commits.read(home.log)
        self._deployment = _Deployment(
            settings, home, _Tables(home), graph_of(settings), instance, server, lineage, commits
        )
        self._table = settings.published_scores.table
        self._assets = [*ORDER, *([PUBLISHED] if self._table else [])]
        self._graph = build_definitions(settings).resolve_asset_graph()
        self._recorded = Recorded(instance, self._assets)
        self._instance, self._now, self._done = instance, now, Restored()

    def run(self, progress: Progress) -> Restored:
        """Report what is missing, inputs before what was made from them."""
        partitions = list(self._partitions())
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

    def _partitions(self) -> Iterator[Partition]:
        """In the order in which they are reported: of one asset in that of the log.

        What was changed lies behind what was made from it in the log, and so does its event: Dagster sees the change.
        """
        lake, lineage = self._deployment.home.lake, self._deployment.lineage
        for asset in ORDER:
            found = []
            for day in lake.days(asset):
                current = lineage.current(asset, day)
                if current.error is not None:
                    self._done.failed[asset, day] = str(current.error)
                elif current.seal is not None:
                    found.append(_Sealed(self._deployment, current.seal))
            yield from sorted(found, key=lambda each: (each.since, each.day))
        if self._table is not None:
            for day in lake.days(SCORED):
                revision = published_revision(self._deployment.home, self._table, day)
                if revision is not None:
                    yield _Delivered(self._deployment, self._table, day, revision)

    def _judged(self, asset: str, partitions: Sequence[Partition]) -> set[tuple[str, str]]:
        return self._recorded.judged(
            asset, sorted({name for each in partitions if each.asset == asset for name in each.checks})
        )

    def _has(self, partition: Partition) -> bool:
        asset, day, recorded = partition.asset, partition.day, self._recorded
        return recorded.has(asset, day, partition.data_version) and recorded.sees(asset, day, partition.made_from)

    def _report(self, partition: Partition, checks: set[str]) -> None:
        asset, day, home = partition.asset, partition.day, home_tag(self._deployment.home)
        mark = {REPORTED: dg.MetadataValue.timestamp(self._now())}
        materialization = None
        if not self._has(partition):
            checks = set(partition.checks)
            materialization = dg.AssetMaterialization(
                asset,
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
        target = newest_materialization(self._instance, asset, day)
        if materialization is not None and target is not None:
            self._recorded.add(asset, day, partition.data_version, target.storage_id)
        whose = {name: dg.MetadataValue.text(home_id) for name, home_id in home.items()}
        _forget_reported(self._instance, asset, day, checks)
        for result in results:
            marked = result._replace(metadata={**result.metadata, **mark, **whose})
            self._instance.report_runless_asset_event(evaluation_of(marked, asset, day, target))
            self._done.checks += 1

    def _tags(self, partition: Partition) -> dict[str, str]:
        node = self._graph.get(dg.AssetKey(partition.asset))
        made_from = sorted(partition.made_from, key=lambda each: each.edge.partition)
        inputs = []
        for upstream in sorted(key.to_user_string() for key in node.parent_keys):
            edges = [each for each in made_from if each.edge.asset == upstream]
            inputs.append((upstream, edges, [version for each in edges if (version := self._version(each.edge))]))
        code_version = partition.code_version(str(node.code_version))
        return version_tags(self._recorded, partition.data_version, code_version, inputs)

    def _version(self, edge: Edge) -> str | None:
        """Data version of what an edge leads to, as it was used."""
        if edge.asset != MODELS or edge.revision is None:
            return edge.revision
        return data_version_of(self._deployment.home.lake.require(MODELS, edge.day, edge.revision))


def _forget_reported(instance: dg.DagsterInstance, asset: str, day: date, checks: set[str]) -> None:
    """Remove what was reported of some checks of a day: Dagster's database takes one result without a run of each.

    Killed before the new ones are reported, the day counts as not checked, and the next call reports them.
    """
    storage, table = instance.event_log_storage, AssetCheckExecutionsTable
    if not isinstance(storage, SqlEventLogStorage):
        return
    reported = sa.and_(
        table.c.asset_key == dg.AssetKey(asset).to_string(),
        table.c.check_name.in_(sorted(checks)),
        table.c.run_id == RUNLESS_RUN_ID,
        table.c.partition == day.isoformat(),
    )
    with storage.index_connection() as connection:
        if connection.dialect.name == "sqlite":  # an erasure does not look for wallets in free pages
            connection.exec_driver_sql("PRAGMA secure_delete = ON")
        connection.execute(sa.delete(table).where(reported))


def _logged(commit: Commit) -> dict[str, Any]:
    """What the log tells of the run that made a partition."""
    return {
        **written(changed=commit.changed),
        "publication log head": commit.head,
        MADE_BY: commit.run_id,
        "made at": dg.MetadataValue.timestamp(commit.at),
    }


def _same(verdict: Verdict) -> Verdict:
    return verdict


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
