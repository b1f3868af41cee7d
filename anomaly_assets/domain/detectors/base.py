"""What every detector is: one protocol for fitting a window, judging a day, storing and explaining.

The rest of the project reaches a detector through :class:`Detector` and the registry in
``domain/detectors/__init__.py``, so another one changes no asset, store, evidence or page.

Higher is more anomalous in every number that leaves a detector.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.algorithms import Flag
from anomaly_assets.domain.detectors.amount_and_hour import Shares
from anomaly_assets.domain.identity import canonical_json, digest
from anomaly_assets.domain.table_identity import canonical_array
from anomaly_assets.domain.wallet_rows import WalletRows


class Ability(StrEnum):
    """What a detector can say beyond its judgement; pages and explanations ask for these."""

    REASONS = "reasons"
    """Why it flagged a row, in a sentence of its own (``reason``)."""
    BANDS = "bands"
    """Which amounts it does not flag at an hour (``normal_amounts``): then nothing else of a row counts."""
    SHARES = "shares"
    """How far amount and hour each count for a row's judgement (``shares``)."""
    DEVIATIONS = "deviations"
    """Its score counts standard deviations of the amount from the mean of the wallet's history, so it can be drawn."""


@dataclass(frozen=True)
class Artifact:
    """A population artifact: a small table of a day that is made of many wallets and names none of them.

    Parameters
    ----------
    name : lower-case letters, digits and ``_``
    after_fits : made after the models of the day, of a sample of wallets and their models; else with the window, of
        all its wallets, and then recipes name it
    max_wallets : of the wallets that have a model, how many it is made of after the fits
    """

    name: str
    after_fits: bool = False
    max_wallets: int = 2_000


@dataclass(frozen=True)
class Needs:
    """What a detector reads of a transaction, of what came before it, and of the day.

    Parameters
    ----------
    amount, time : whether its judgement depends on them
    running_state_hours : how many hours before a day it looks back when it judges the day's rows
    window_end : whether its models depend on the day on which their window ends; recipes name it then, and every wallet
        is fitted anew every day
    artifacts : what it is given of the population
    """

    amount: bool = True
    time: bool = True
    running_state_hours: int = 0
    window_end: bool = False
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True, eq=False)
class OfDay:
    """What a detector is given of a day beside rows.

    Parameters
    ----------
    window_end : the day on which the training window ends, itself not in it: the day that is judged
    artifacts : its population artifacts, by their names
    """

    window_end: date
    artifacts: Mapping[str, pa.Table] = field(default_factory=dict)


class DetectorStatus(StrEnum):
    """What a detector could say about a row (or would say about a wallet's rows), and if nothing, why."""

    JUDGED = "judged"
    NO_HISTORY = "no_history"
    INSUFFICIENT_HISTORY = "insufficient_history"
    CONSTANT_HISTORY = "constant_history"
    MODEL_MISSING = "model_missing"


@dataclass(frozen=True, eq=False)
class Model:
    """One fitted model of one wallet, without wallet, dates or run: equal content, equal ``model_id``.

    Parameters
    ----------
    detector : name of the detector that fitted it
    parameters : the fit settings that shaped it, JSON scalars
    arrays : named little-endian arrays (scalars as shape ``(1,)``); everything judging needs
    """

    detector: str
    parameters: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    @cached_property
    def model_id(self) -> str:
        """Hex SHA-256 over the canonical content."""
        names = sorted(self.arrays)
        header = {
            "detector": self.detector,
            "parameters": dict(self.parameters),
            "arrays": [
                [name, self.arrays[name].dtype.str.lstrip("<|=>"), list(self.arrays[name].shape)] for name in names
            ],
        }
        return digest(canonical_json(header), *(canonical_array(self.arrays[name]) for name in names))


@dataclass(frozen=True, eq=False)
class Judgement:
    """A detector's verdict on each row of a day.

    Float arrays hold NaN where ``judged`` is false; ``is_anomaly`` is false there.

    Parameters
    ----------
    judged, is_anomaly : bool arrays of shape (n_rows,)
    score : float64 (n_rows,), what is published as the detector's score; higher is more anomalous
    value : float64 (n_rows,), what is compared with the flag line; ``score`` itself, or its size where both sides count
    typical, flag_line : float64 (n_rows,), the value of a typical row of that wallet and the value above which a row is
        flagged
    extra : further published columns of this detector, name to Arrow array of n_rows
    """

    judged: np.ndarray
    is_anomaly: np.ndarray
    score: np.ndarray
    value: np.ndarray
    typical: np.ndarray
    flag_line: np.ndarray
    extra: Mapping[str, pa.Array] = field(default_factory=dict)


class Detector(Protocol):
    """A family member: constructed with its settings, stateless otherwise. Members derive from it.

    Attributes
    ----------
    name : the model type in stores and the prefix of published columns (``{name}_anomaly``, ``{name}_status``,
        ``{name}_model_id``)
    score_column : name of the published score
    algorithm_version : raised by hand whenever the same rows and settings give another model
    extra_columns : Arrow fields of ``Judgement.extra``
    neutral : settings that came later, at the values that give what was before them (``domain.algorithms``)
    flag : the published flag that it counts for
    needs : what it reads of a transaction
    abilities : what it can say beyond its judgement; methods of other abilities are never called
    of_day : what it was given of a day (:meth:`given`); None before
    """

    name: ClassVar[str]
    score_column: ClassVar[str]
    algorithm_version: ClassVar[int]
    extra_columns: ClassVar[tuple[pa.Field, ...]]
    neutral: ClassVar[Mapping[str, Any]]
    flag: ClassVar[Flag]
    needs: ClassVar[Needs]
    abilities: ClassVar[frozenset[Ability]]
    of_day: OfDay | None = None

    def given(self, of_day: OfDay) -> Self:
        """The same detector with what a day gives; one that needs nothing of it fits and judges as before.

        What it computed from another day and kept (``cached_property``) does not come along.
        """
        detector = copy(self)
        for name in [name for name in vars(detector) if isinstance(getattr(type(self), name, None), cached_property)]:
            del vars(detector)[name]
        object.__setattr__(detector, "of_day", of_day)  # whatever it is, a frozen dataclass too
        return detector

    def artifact(self, name: str, window: WalletRows, models: Sequence[Model] = ()) -> pa.Table:  # noqa: ARG002 - for those that need none
        """With artifacts among its ``needs``: one of them, made of fit settings and these rows alone.

        Made with the window, ``window`` holds all its wallets. After the fits it holds a sample of those that have a
        model, ``models`` theirs, and ``of_day`` what was made with the window.

        At most 1 MiB, of columns of ``domain.artifacts.KINDS``; the same in whatever order wallets come. After an
        erasure it stays as it was sealed: it may name no wallet, and no value in it may be that of one wallet.
        """
        raise TypeError(f"{self.name} makes no artifact {name}")

    @property
    def fit_parameters(self) -> dict[str, Any]:
        """The fit settings as JSON scalars: part of every recipe and model id. Decision settings are not in it, and
        none that is at its neutral value.
        """
        ...

    def eligibility(self, window: WalletRows) -> list[DetectorStatus]:
        """Per wallet of the window: JUDGED when a model can be fitted, else the reason why not (never NO_HISTORY)."""
        ...

    def fit(self, window: WalletRows, wallets: Sequence[int]) -> list[Model]:
        """One model for each wallet index in ``wallets`` (all eligible), in that order."""
        ...

    def judge(self, rows: WalletRows, models: Sequence[Model | None], before: WalletRows | None = None) -> Judgement:
        """Verdicts on the rows of a day; ``models[w]`` judges wallet ``w``, None leaves its rows unjudged.

        When it needs ``running_state_hours``, ``before`` holds the rows of so many hours before the day with their ids,
        of the same wallets in the same order; else it is None.

        Every model that judges is proved as by ``validate`` first. Raises ``ModelFormatError`` when one is malformed.
        """
        ...

    def score_one(self, model: Model, *, amount: float, completed_at_us: int) -> float:
        """The published score of one transaction against a validated model, as ``judge`` gives it; microseconds."""
        ...

    def validate(self, model: Model) -> None:
        """Raise ``ModelFormatError`` unless the arrays are well formed in every way judging relies on."""
        ...

    def reason(self, model: Model, *, amount: float, completed_at_us: int, score: float) -> str:  # noqa: ARG002 - for those that do not say it
        """With ``Ability.REASONS``: one sentence a person understands on why a row with this amount, time and score was
        flagged.
        """
        raise _unsaid(self.name, Ability.REASONS)

    def normal_amounts(self, model: Model, *, hour: int) -> list[tuple[float, float]]:  # noqa: ARG002 - for those that do not say it
        """With ``Ability.BANDS``: all amounts that a validated model does not flag at a UTC hour of day, 0..23.

        They are closed intervals [low, high].

        In the currency, float64, ascending and disjoint, within -1e15..1e15 and what the model's amount scale takes
        (nothing below 0 on ``log1p``). An edge is not flagged by ``score_one`` and the next float64 beyond it is.
        """
        raise _unsaid(self.name, Ability.BANDS)

    def shares(self, model: Model, *, amount: float, hour: int, history: WalletRows) -> Shares:  # noqa: ARG002 - for those that do not say it
        """With ``Ability.SHARES``: what a row's amount and UTC hour each count for, against its wallet's history."""
        raise _unsaid(self.name, Ability.SHARES)


def _unsaid(detector: str, ability: Ability) -> TypeError:
    """A detector without the ability is complete: asking it is the mistake."""
    return TypeError(f"{detector} does not say {ability}")


class DetectorClass(Protocol):
    """What the registry holds: a detector's class, with its names, and its constructor."""

    name: str
    score_column: str
    algorithm_version: int
    extra_columns: tuple[pa.Field, ...]
    neutral: Mapping[str, Any]
    flag: Flag
    needs: Needs
    abilities: frozenset[Ability]

    def __call__(self, *args: Any, **settings: Any) -> Detector:
        """The detector with these settings, all by keyword."""
        ...
