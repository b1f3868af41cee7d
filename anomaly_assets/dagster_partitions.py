"""What Dagster is told of a partition long after its run: from its seal, its files and the publication log."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from anomaly_assets.domain.families import DETECTION, TRANSACTIONS, DailyAsset, Family
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW, Compared, Edge, Kind
from anomaly_assets.domain.predicates import anomaly_rate_within_bounds, coverage_within_bounds
from anomaly_assets.domain.verdicts import Verdict
from anomaly_assets.evidence.commits import Commit, Commits
from anomaly_assets.evidence.lineage import Lineage
from anomaly_assets.settings import Settings
from anomaly_assets.steps.publish_scores import PUBLISHED, published_day, published_revision
from anomaly_assets.steps.run import Outcome
from anomaly_assets.steps.sealed import (
    detectors_of,
    metrics_outcome,
    models_outcome,
    raw_day_outcome,
    scores_outcome,
    window_outcome,
)
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

    def of(self, seal: Seal, outcome: Callable[[Home, Seal], Outcome]) -> Outcome:
        """What its step handed back, which ``outcome`` reads from its files."""
        if self.last is None or self.last.seal.seal_id != seal.seal_id:
            self.last = None  # before the next ones are read
            self.last = outcome(self.home, seal)
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
    unreadable: dict[tuple[str, date], str] = field(default_factory=dict)
    """(asset, day) of partitions that cannot be told of, and why."""

    def seals(self, asset: str) -> list[Seal]:
        """The current seals of an asset, in the order of the log.

        What was changed lies behind what was made from it in the log, and so does its event: Dagster sees the change.
        """
        seals = []
        for day in self.home.lake.days(asset):
            current = self.lineage.current(asset, day)
            if current.error is not None:
                self.unreadable[asset, day] = str(current.error)
            elif current.seal is not None:
                seals.append(current.seal)
        return sorted(seals, key=lambda seal: (self.since(seal), seal.day))

    def since(self, seal: Seal) -> int:
        """Line of the log from which on it has been current; 0 when the log does not name it."""
        commit = self.commits.of(seal)
        return commit.since if commit else 0


@dataclass
class SealedDay(ABC):
    """A partition of the lake, of an asset that a subclass knows."""

    deployment: Deployment
    seal: Seal
    known_as: DailyAsset

    def __post_init__(self) -> None:
        self.asset, self.day = self.seal.asset, self.seal.day

    @abstractmethod
    def outcome(self) -> Outcome:
        """What its step handed back, from its files. Raises ``CorruptFile``, ``NotSealed``."""

    @abstractmethod
    def described(self, outcome: Outcome) -> Mapping[str, Any]:
        """What its page shows of an outcome."""

    def checks_apart(self) -> Mapping[str, Callable[[], Verdict]]:
        """Checks of what is published, as they judge it now."""
        return {}

    @property
    def data_version(self) -> str:
        return self.known_as.data_version(self.seal.revision, self.seal.inputs)

    @property
    def made_from(self) -> Sequence[Compared]:
        compared = self.deployment.lineage.compared(self.seal)
        return [each for each in compared if each.edge.kind is Kind.PARTITION]

    @property
    def checks(self) -> Mapping[str, Callable[[], Verdict]]:
        of_files = {verdict.check: partial(_same, verdict) for verdict in self.seal.verdicts}
        return {**of_files, **self.checks_apart()}

    def code_version(self, configured: str) -> str:
        return configured

    def metadata(self) -> dict[str, Any]:
        commit = self.deployment.commits.of(self.seal)
        return {**self.described(self.outcome()), **sealed(self.seal), **(_logged(commit) if commit else {})}

    def is_current(self) -> bool:
        now = self.deployment.home.lake.find(self.asset, self.day)
        return now is not None and now.seal_id == self.seal.seal_id


class RawDay(SealedDay):
    def outcome(self) -> Outcome:
        return self.deployment.tables.of(self.seal, raw_day_outcome)

    def described(self, outcome: Outcome) -> Mapping[str, Any]:
        return describe_day(self.deployment.graph, outcome)


class Window(SealedDay):
    def outcome(self) -> Outcome:
        return self.deployment.tables.of(self.seal, window_outcome)

    def described(self, outcome: Outcome) -> Mapping[str, Any]:
        return describe_window(self.deployment.graph, outcome)


class Models(SealedDay):
    def outcome(self) -> Outcome:
        return self.deployment.tables.of(self.seal, models_outcome)

    def described(self, outcome: Outcome) -> Mapping[str, Any]:
        return describe_models(self.deployment.graph, outcome)

    @property
    def made_from(self) -> Sequence[Compared]:
        return [*super().made_from, *self.deployment.lineage.raw_days(self.seal)]

    def checks_apart(self) -> Mapping[str, Callable[[], Verdict]]:
        home, server = self.deployment.home, self.deployment.server
        if server is None:
            return {}
        return {published_models_match.NAME: partial(published_models_match.compare_served, home, server, self.day)}

    def code_version(self, configured: str) -> str:  # noqa: ARG002 - the models' own settings say
        return code_version_of(recorded_settings(self.deployment.home, str(self.seal.settings_id)).detectors)


class Scores(SealedDay):
    def outcome(self) -> Outcome:
        return self.deployment.tables.of(self.seal, scores_outcome)

    def described(self, outcome: Outcome) -> Mapping[str, Any]:
        return describe_scores(self.deployment.graph, self.deployment.instance, outcome)

    @property
    def made_from(self) -> Sequence[Compared]:
        """But for the days that detectors looked back on: they are no input that Dagster knows."""
        return [each for each in super().made_from if each.edge.day == self.day]

    def checks_apart(self) -> Mapping[str, Callable[[], Verdict]]:
        """Which flags a night picked to prove is not in the files."""
        return {
            score_bounds.COVERAGE: self._coverage,
            score_bounds.RATE: self._rate,
            scores_follow.NAME: partial(scores_follow.follow, self.deployment.lineage, self.day),
        }

    def _coverage(self) -> Verdict:
        floor = self.deployment.settings.checks.min_coverage
        names = detectors_of(self.deployment.home, self.seal)
        return coverage_within_bounds(self.outcome().tables["scored"], names, min_coverage=floor)

    def _rate(self) -> Verdict:
        ceiling = self.deployment.settings.checks.max_anomaly_rate
        names = detectors_of(self.deployment.home, self.seal)
        return anomaly_rate_within_bounds(self.outcome().tables["scored"], names, max_rate=ceiling)


class Metrics(SealedDay):
    def outcome(self) -> Outcome:
        return self.deployment.tables.of(self.seal, metrics_outcome)

    def described(self, outcome: Outcome) -> Mapping[str, Any]:
        return describe_metrics(self.deployment.graph, outcome)


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


def sealed_days(deployment: Deployment, family: Family, kinds: Mapping[str, type[SealedDay]]) -> Iterator[Partition]:
    """The sealed days of a family by asset, upstream first; ``kinds`` has what is known of each asset."""
    for asset in family.assets:
        for seal in deployment.seals(asset.name):
            yield kinds[asset.name](deployment, seal, asset)


def transactions_days(deployment: Deployment) -> Iterator[Partition]:
    """Raw days."""
    yield from sealed_days(deployment, TRANSACTIONS, {RAW: RawDay})


def detection_days(deployment: Deployment) -> Iterator[Partition]:
    """What was trained, scored and measured, and the scores that a table elsewhere was given."""
    yield from sealed_days(deployment, DETECTION, {WINDOW: Window, MODELS: Models, SCORED: Scores, METRICS: Metrics})
    table = deployment.settings.published_scores.table
    if table is not None:
        for day in deployment.home.lake.days(SCORED):
            revision = published_revision(deployment.home, table, day)
            if revision is not None:
                yield DeliveredDay(deployment, table, day, revision)


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
