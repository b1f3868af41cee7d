"""How a command ends: one table for all of them, explained in ``docs/operating.md``."""

from enum import IntEnum

from anomaly_assets.domain.errors import (
    AnomalyAssetsError,
    HomeMismatch,
    MissingFile,
    NotFinished,
    NotOneDay,
    NotSealed,
    OutsideCoverage,
    SettingsError,
)


class ExitCode(IntEnum):
    """What the exit code of a command says."""

    FINE = 0
    """Done, and nothing is wrong."""
    FINDING = 1
    """Done, and what was found needs somebody: stale days, a mismatch, a problem."""
    MISSING = 2
    """What was asked for is not there: a home, a day, a transaction, a wallet, something behind a proof."""
    STOPPED = 3
    """The embedded store does not run (``store status`` alone)."""
    USAGE = 64
    """Asked wrongly: an option, a setting, a day that cannot be made. As sysexits.h numbers it."""
    FAILED = 70
    """The command, or a day of it, could not be done. As sysexits.h numbers it."""
    INTERRUPTED = 130
    """Ended by who called it, Ctrl-C for instance, or by the answer to its question. As shells number it."""


_ASKED_WRONGLY = (SettingsError, HomeMismatch, NotOneDay, NotFinished, OutsideCoverage)
_MISSING = (NotSealed, MissingFile)


def code_of(error: BaseException) -> ExitCode:
    """The exit code of a command that ends with this error."""
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(error, AnomalyAssetsError):
        if isinstance(error, _ASKED_WRONGLY):
            return ExitCode.USAGE
        if isinstance(error, _MISSING):
            return ExitCode.MISSING
    return ExitCode.FAILED
