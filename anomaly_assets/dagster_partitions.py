"""What Dagster is told of a partition long after its run: from its seal, its files and the publication log."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, Protocol

import dagster as dg

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.model_store import ModelStore
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.assets.anomaly_metrics import describe_metrics
from anomaly_assets.assets.graph import Graph
from anomaly_assets.assets.published_scores import describe_published
from anomaly_assets.assets.publishing import MADE_BY, sealed, written
from anomaly_assets.assets.raw_transactions import describe_day
from anomaly_assets.assets.scored_transactions import describe_scores
from anomaly_assets.assets.training_window import describe_window
from anomaly_assets.assets.wallet_models import code_version_of, describe_models
from anomaly_assets.checks import published_models_match, score_bounds, scores_follow
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW, Compared, Edge, Kind
from anomaly_assets.domain.predicates import anomaly_rate_within_bounds, coverage_within_bounds
from anomaly_assets.domain.verdicts import Verdict
from anomaly_assets.evidence.commits import Commit, Commits
from anomaly_assets.evidence.lineage import Lineage
from anomaly_assets.settings import Settings
from anomaly_assets.steps.publish_scores import PUBLISHED, published_day, published_revision
from anomaly_assets.steps.run import Outcome, data_version_of
from anomaly_assets.steps.sealed import detectors_of, outcome_of
from anomaly_assets.steps.settings_record import recorded_settings


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
class Tables:
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
class Deployment:
    """What all partitions are described with."""

    settings: Settings
    home: Home
    tables: Tables
    graph: Graph
    instance: dg.DagsterInstance
    server: ModelStore | None
    lineage: Lineage
    commits: Commits


@dataclass
class SealedDay:
    """A partition of the lake."""

    deployment: Deployment
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
        of_files = {verdict.check: partial(_same, verdict) for verdict in self.seal.verdicts}
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
class DeliveredDay:
    """A scored day that a table elsewhere was given."""

    deployment: Deployment
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
