"""What each algorithm version of each detector is recorded as: no code of a detector is imported for it.

A settings record is written and read with these alone, so that ids cost no compiled kernels, and so that days whose
detectors are not in the code any more still have names, columns and settings.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from anomaly_assets.domain.identity import JsonObject


class HasFlag(Protocol):
    """A detector, or what tells of one."""

    @property
    def flag(self) -> "Flag":
        """The published flag that it counts for."""


@dataclass(frozen=True)
class Flag:
    """A published flag of a row, true where one of some detectors flags it.

    Parameters
    ----------
    column : its published column
    of : names of these detectors; those that do not judge a day add nothing
    """

    column: str
    of: tuple[str, ...]


IS_ANOMALY = Flag("is_anomaly", ("statistical", "isolation_forest"))
"""The flag that every day has. It is these two detectors' for ever, so that it means the same of all days."""


def flags_of(detectors: Iterable[HasFlag]) -> list[Flag]:
    """The published flags of a day that these detectors judge: ``IS_ANOMALY``, then others in their order."""
    return list(dict.fromkeys((IS_ANOMALY, *(detector.flag for detector in detectors))))


@dataclass(frozen=True)
class Algorithm:
    """One algorithm version of one detector.

    Parameters
    ----------
    detector : name of the detector: the model type in stores and the prefix of published columns
    version : raised by hand whenever the same rows and settings give another model
    score_column : name of the published score
    extra_columns : further published columns, (name, Arrow type) of each
    fit_settings : settings that shape models, the amount scale among them: they are part of every recipe
    neutral : settings that came after the first release with this version, each at the value that gives what was before
        it existed. Frozen: a setting at its neutral value is left out of records, recipes and models. What a deployment
        has by default may differ from it
    flag : the published flag that it counts for; a detector that ``IS_ANOMALY`` does not name has one of its own
    bin_width : width of the bins in which histograms count its score, in the unit of the score
    """

    detector: str
    version: int
    score_column: str
    fit_settings: tuple[str, ...]
    extra_columns: tuple[tuple[str, str], ...] = ()
    neutral: JsonObject = field(default_factory=dict)
    flag: Flag = IS_ANOMALY
    bin_width: float = 0.05

    def without_neutral(self, settings: JsonObject) -> JsonObject:
        """The settings that are not at their neutral value."""
        return {key: value for key, value in settings.items() if key not in self.neutral or value != self.neutral[key]}


STATISTICAL = Algorithm("statistical", 1, "zscore", ("amount_scale", "min_transactions"), bin_width=0.1)
ISOLATION_FOREST = Algorithm(
    "isolation_forest",
    1,
    "isolation_forest_score",
    ("amount_scale", "min_transactions", "n_estimators", "max_samples", "contamination", "random_state"),
    (("hour_unseen", "bool"),),
    bin_width=0.005,
)
ALGORITHMS: dict[str, Algorithm] = {each.detector: each for each in (STATISTICAL, ISOLATION_FOREST)}
"""The version that each detector fits with today, in the order of published columns; installed ones come after ours."""
