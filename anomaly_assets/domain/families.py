"""Families of assets: what everyone who reads a home needs to know of them. Nothing else lists assets by hand.

A family is a few assets with one question, and what each room of the house needs of them. Rooms are named by reference
(``package.module:name``) and loaded where they are used, so that files can be read without Dagster, and Dagster without
pages.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anomaly_assets.domain.identity import digest_of
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW


@dataclass(frozen=True)
class DailyAsset:
    """An asset that has a sealed partition a day.

    Parameters
    ----------
    name : in files, in the log and (behind a prefix) in Dagster
    upstream : assets of the same day that reasons of staleness name, in this order
    over_raw_days : whether it follows from raw days itself, or through the window it names; else through ``upstream``
    ingested : whether it comes from the source: nothing in a home makes it stale
    after : the asset after which a day that is over should have it too
    is_due : whether its newest day should be the one that is due by the clock
    names_wallets : whether its files name wallets, so that an erasure looks through them
    version_inputs : inputs of its seal that make up its data version in Dagster; none: its revision
    layout : newest layout of its tables that is known here
    """

    name: str
    upstream: tuple[str, ...] = ()
    over_raw_days: bool = True
    ingested: bool = False
    after: str | None = None
    is_due: bool = False
    names_wallets: bool = False
    version_inputs: tuple[str, ...] = ()
    layout: int = 1

    def data_version(self, revision: str, inputs: Mapping[str, Any]) -> str:
        """What Dagster is told of a partition with this revision, sealed with these inputs."""
        return digest_of([inputs[name] for name in self.version_inputs]) if self.version_inputs else revision


@dataclass(frozen=True)
class Family:
    """Assets that answer one question.

    Parameters
    ----------
    name : by which commands and model references name it
    assets : upstream first
    definitions : reference to a function of settings and graph that returns what the family registers in Dagster
    restored : reference to a function of a deployment (``dagster_partitions``) that yields the sealed partitions, as
        ``dagster-restore`` reports them
    case : reference to what commands ask about its judgements (``evidence.family_case.FamilyCase``)
    screens : reference to its screens of the dashboard by the name in their address; each has ``TITLE``, ``ICON`` and
        ``show``
    job : name of the job that makes a day of it again; empty: none does
    settings_id : reference to a function of the deployment's settings that returns the id of those that the family's
        partitions name by edges to settings of its name; None: none make them stale
    """

    name: str
    assets: tuple[DailyAsset, ...]
    definitions: str | None = None
    restored: str | None = None
    case: str | None = None
    screens: str | None = None
    job: str = ""
    settings_id: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the assets, upstream first."""
        return tuple(asset.name for asset in self.assets)

    def asset(self, name: str) -> DailyAsset:
        """One of the assets. Raises ``KeyError``."""
        return {asset.name: asset for asset in self.assets}[name]


TRANSACTIONS = Family(
    "transactions",
    (DailyAsset(RAW, ingested=True, is_due=True, names_wallets=True),),
    definitions="anomaly_assets.families.transactions:definitions",
    restored="anomaly_assets.dagster_partitions:transactions_days",
)
"""What all other families stand on, so that none of them needs another."""
DETECTION = Family(
    "detection",
    (
        DailyAsset(WINDOW, names_wallets=True),
        DailyAsset(MODELS, (WINDOW,), names_wallets=True, version_inputs=("manifest_id", "fit_id")),
        DailyAsset(SCORED, (WINDOW, MODELS), after=MODELS, is_due=True, names_wallets=True),
        DailyAsset(METRICS, (SCORED,), over_raw_days=False, after=SCORED),
    ),
    definitions="anomaly_assets.families.detection:definitions",
    restored="anomaly_assets.dagster_partitions:detection_days",
    case="anomaly_assets.evidence.detection_case:CASE",
    screens="anomaly_assets.dashboard.screens:SCREENS",
    job="detect_anomalies",
    settings_id="anomaly_assets.settings.family_settings:of_detection",
)
"""Whether a payment is unusual for its wallet."""
OURS = (TRANSACTIONS, DETECTION)
"""The families of this package, those first that others stand on."""


def assets_of(families: Iterable[Family]) -> Sequence[DailyAsset]:
    """The assets of all these families, upstream first."""
    return [asset for family in families for asset in family.assets]


def names_of(families: Iterable[Family]) -> Sequence[str]:
    """Names of the assets of all these families, upstream first."""
    return [asset.name for asset in assets_of(families)]
