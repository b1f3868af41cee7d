"""How often what was published is proved again, and with which outcome."""

from collections.abc import Sequence
from datetime import UTC

import pyarrow as pa

from anomaly_assets.adapters.verification_log import Verification
from anomaly_assets.evidence.proof import Outcome

GOOD = frozenset({Outcome.PROVEN.value, Outcome.ERASED.value})
"""Outcomes that pass: an erased row has nothing left to prove."""
ENTRIES = {
    "at": pa.timestamp("s", tz="UTC"),
    "who": pa.string(),
    "day": pa.date32(),
    "transactions": pa.int64(),
    "outcome": pa.string(),
    "head": pa.string(),
}
_NAMES = ("n_proven", "n_erased", "n_missing", "n_mismatch")


def pass_rates(entries: Sequence[Verification]) -> pa.Table:
    """Per UTC day on which something was verified: ``date, n_proofs, n_proven, n_erased, n_missing, n_mismatch, rate``.

    ``rate`` is the share that is proven or erased.
    """
    found: dict[str, dict[str, int]] = {}
    for entry in entries:
        counts = found.setdefault(entry.at.astimezone(UTC).date().isoformat(), dict.fromkeys(_NAMES, 0))
        counts[f"n_{entry.outcome}"] = counts.get(f"n_{entry.outcome}", 0) + 1
    dates = sorted(found)
    columns = {name: [found[date][name] for date in dates] for name in _NAMES}
    totals = [sum(found[date].values()) for date in dates]
    good = [proven + erased for proven, erased in zip(columns["n_proven"], columns["n_erased"], strict=True)]
    return pa.table(
        {
            "date": pa.array(dates, pa.string()).cast(pa.date32()),
            "n_proofs": pa.array(totals, pa.int64()),
            **{name: pa.array(values, pa.int64()) for name, values in columns.items()},
            "rate": pa.array([part / whole for part, whole in zip(good, totals, strict=True)], pa.float64()),
        }
    )


def entries_table(entries: Sequence[Verification]) -> pa.Table:
    """All entries as a table, newest first; ``transactions`` is null where all of the day were proved."""
    newest_first = sorted(entries, key=lambda entry: entry.at, reverse=True)
    columns = {
        name: pa.array([getattr(entry, name) for entry in newest_first], kind)
        for name, kind in ENTRIES.items()
        if name != "at"
    }
    at = pa.array([entry.at.replace(microsecond=0) for entry in newest_first], ENTRIES["at"])
    return pa.table({"at": at, **columns})
