"""Every error this project raises on purpose.

AnomalyAssetsError
├── PermanentError            a rerun gives the same answer
│   ├── SettingsError         a setting is unknown, ill-typed or out of range
│   ├── SourceError           the source does not hold what its settings promise
│   │   └── OutsideCoverage   the day is not one the source covers
│   ├── HomeMismatch          the home belongs to another source or first day
│   ├── NotFinished           the day is not over
│   ├── NotSealed             a partition has no good seal, so it must not be read
│   │   ├── Erased             what is asked for went with a wallet that was erased
│   │   ├── NoHome             there is no home where the settings say
│   │   └── NeedsRelease       another release wrote it, and this one cannot read or compute it
│   ├── CorruptFile           stored bytes differ from their digest
│   │   └── MissingFile       there are none at all
│   ├── ModelFormatError      a stored model is malformed or of another format version
│   ├── BlockedByCheck        a blocking check failed on the staged result
│   ├── ModelConflict         one recipe gave two models
│   ├── StoreRefused          the model store must not be used as it is configured
│   │   └── NotServable        what is to be served, or its place, is wrong whatever the server does
│   ├── TakenForDead          nothing was heard of the run for too long
│   └── TargetError           the table that scores go to is not what its settings promise
└── TransientError            a rerun may help
    ├── SourceUnavailable     the source did not answer
    ├── StoreUnavailable      the model store did not answer
    ├── TargetUnavailable     the table that scores go to did not answer
    ├── InstanceUnavailable   the server that keeps Dagster's records did not answer
    ├── Busy                  another run holds the lock
    └── Superseded            another run published something newer meanwhile
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anomaly_assets.domain.verdicts import Verdict


class AnomalyAssetsError(Exception):
    """An error with its remedy: what was found, what was expected, what to do next."""

    def __init__(self, found: str, *, expected: str = "", remedy: str = "") -> None:
        self.found, self.expected, self.remedy = found, expected, remedy
        parts = [found, f"Expected: {expected}" if expected else "", f"What to do: {remedy}" if remedy else ""]
        super().__init__("\n".join(part for part in parts if part))


class PermanentError(AnomalyAssetsError):
    """A rerun gives the same answer."""


class TransientError(AnomalyAssetsError):
    """A rerun may help."""


class SettingsError(PermanentError):
    """A setting is unknown, ill-typed or out of range."""


class SourceError(PermanentError):
    """The source does not hold what its settings promise."""


class OutsideCoverage(SourceError):
    """The day is not one the source covers."""


class HomeMismatch(PermanentError):
    """The home belongs to another source or first day."""


class NotFinished(PermanentError):
    """The day is not over, so its transactions cannot all be there."""


class NotOneDay(PermanentError):
    """A run was asked for several days, or for none."""


class NotSealed(PermanentError):
    """A partition has no good seal, so it must not be read."""


class Erased(NotSealed):
    """What is asked for went with a wallet that was erased."""


class NoHome(NotSealed):
    """There is no home where the settings say, so there is nothing to read."""


class NeedsRelease(NotSealed):
    """Another release wrote what is asked for, and this one cannot read or compute it: nothing is said against it."""


class CorruptFile(PermanentError):
    """Stored bytes differ from their digest."""


class MissingFile(CorruptFile):
    """A file that is sealed is not there at all."""


class ModelFormatError(PermanentError):
    """A stored model is malformed or of another format version."""


def require_known_format(name: str, found: object, newest: int) -> None:
    """Raise ``NeedsRelease`` when a record has a format that came after ``newest``, ``ValueError`` when it has none."""
    if type(found) is not int or found < 1:
        raise ValueError(f"its format is {found!r}")
    if found > newest:
        raise NeedsRelease(
            f"{name} has format {found}",
            expected=f"format {newest} at most",
            remedy="use the release that wrote it, or a newer one",
        )


class BlockedByCheck(PermanentError):
    """A blocking check failed on the staged result; the previous revision stays current.

    ``verdicts`` holds what every check said, passed or not.
    """

    def __init__(self, found: str, *, remedy: str, verdicts: Sequence["Verdict"]) -> None:
        super().__init__(found, remedy=remedy)
        self.verdicts = tuple(verdicts)


class ModelConflict(PermanentError):
    """One recipe gave two models, which determinism forbids."""


class StoreRefused(PermanentError):
    """The model store must not be used as it is configured."""


class NotServable(StoreRefused):
    """What is to be served, or the place it should go to, is wrong: no other state of the server would help."""


class TakenForDead(PermanentError):
    """Nothing was heard of the run for too long, so it commits nothing any more, however often it tries."""


class TargetError(PermanentError):
    """The table that scores go to is not what its settings promise."""


class SourceUnavailable(TransientError):
    """The source did not answer."""


class StoreUnavailable(TransientError):
    """The model store did not answer."""


class TargetUnavailable(TransientError):
    """The table that scores go to did not answer."""


class InstanceUnavailable(TransientError):
    """The server that keeps Dagster's records did not answer."""


class Busy(TransientError):
    """Another run holds the lock."""


class Superseded(TransientError):
    """Another run published something newer meanwhile."""
