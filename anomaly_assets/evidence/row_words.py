"""A published row's flags in words: who judged it, who flagged it, and which flags it has beside ``is_anomaly``."""

from collections.abc import Iterable

from anomaly_assets.domain.algorithms import IS_ANOMALY
from anomaly_assets.domain.scored_row import ScoredRow


def named(detectors: Iterable[str], last: str = "and") -> str:
    """Names of detectors as words."""
    *names, end = [name.replace("_", " ") for name in detectors]
    return f"{', '.join(names)} {last} {end}" if names else end


def nothing_said(row: ScoredRow) -> str:
    """Of a row without an anomaly score, who could say nothing of it."""
    if any(row.judged_by(flag) for flag in row.flags):
        return f"neither {named(IS_ANOMALY.of, 'nor')} could say anything of it"
    return "no detector could say anything of it"


def other_flags(row: ScoredRow) -> str:
    """By whom the row was flagged as something else than an anomaly; empty when it was not."""
    flags = [flag for flag in row.flags if flag != IS_ANOMALY]
    return "; ".join(f"flagged as {flag.column} by {named(by)}" for flag in flags if (by := row.flagged_by(flag)))


def unflagged(row: ScoredRow) -> str:
    """Which amounts are meant by those that would leave a judged row without ``is_anomaly``."""
    return f"not flagged by {'any detector' if row.flags == (IS_ANOMALY,) else named(row.judged_by(), 'or')}"
