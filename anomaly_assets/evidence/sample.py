"""Flags picked at random, to be verified: the same ones for the same seed and home."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

import numpy as np

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.identity import digest_of
from anomaly_assets.domain.lineage import METRICS, SCORED
from anomaly_assets.domain.metrics import UNIFIED
from anomaly_assets.evidence.proof import Grade, Proof, Stop


@dataclass(frozen=True)
class Sample:
    """What was picked.

    Parameters
    ----------
    picked : flagged transactions by day
    unread : proofs that broke because flags of their day could not be counted or picked; they name the day and why
    """

    picked: Mapping[date, list[str]]
    unread: list[Proof]


def sample_flags(home: Home, days: Iterable[date], count: int, *, seed: str) -> Sample:
    """At most ``count`` flagged transactions of ``days``, each flag of a readable day as likely as any other.

    How many flags a day has is read from its metrics where they measure its current scores, so of most days one small
    file is read; the scores are read of days that are picked, and of those that were not measured yet.
    """
    counts: dict[date, int] = {}
    unread: list[Proof] = []
    for day in days:
        try:
            counts[day] = _count(home, home.lake.require(SCORED, day))
        except Exception as error:  # noqa: BLE001 - whatever a changed file provokes, the other days are sampled
            unread.append(_unread(day, error))
    ends = np.cumsum(list(counts.values()), dtype=np.int64)
    total = int(ends[-1]) if counts else 0
    random = np.random.default_rng(int(digest_of(seed)[:16], 16))
    chosen = np.sort(random.choice(total, size=min(count, total), replace=False))
    picked: dict[date, list[str]] = {}
    for end, (day, n_flags) in zip(ends.tolist(), counts.items(), strict=True):
        places = chosen[(chosen >= end - n_flags) & (chosen < end)] - (end - n_flags)
        if len(places):
            try:
                picked[day] = _flags(home, day, n_flags, places.tolist())
            except Exception as error:  # noqa: BLE001 - as above
                unread.append(_unread(day, error))
    return Sample(picked, unread)


def _count(home: Home, scored: Seal) -> int:
    """Flags of a day's current scores."""
    with suppress(Exception):  # metrics that cannot be used are no reason not to sample their day
        metrics = home.lake.require(METRICS, scored.day)
        whole = home.lake.stored(scored, "scored") == scored.files["scored"]  # metrics count what was erased since
        if whole and metrics.inputs["scored"] == scored.revision:
            rows = home.lake.read(metrics, "metrics", ["group_kind", "detector", "n_flagged"]).to_pylist()
            (n_flagged,) = (
                row["n_flagged"] for row in rows if (row["group_kind"], row["detector"]) == ("all", UNIFIED)
            )
            return int(n_flagged)
    return len(_ids(home, scored))


def _flags(home: Home, day: date, n_flags: int, places: list[int]) -> list[str]:
    ids = _ids(home, home.lake.require(SCORED, day))
    if len(ids) != n_flags:
        raise CorruptFile(
            f"the scores of {day} hold {len(ids)} flags",
            expected=f"{n_flags}, as anomaly_metrics counts them",
            remedy=f"verify {day}; materialize anomaly_metrics for it again if the scores are proven",
        )
    return [ids[place] for place in places]


def _ids(home: Home, scored: Seal) -> list[str]:
    table = home.lake.read(scored, "scored", ["TX_ID", "is_anomaly"])
    ids: list[str] = table.filter(table.column("is_anomaly")).column("TX_ID").to_pylist()
    return ids


def _unread(day: date, error: Exception) -> Proof:
    proof = Proof(day, [])
    with suppress(Stop), proof.link(Grade.INTACT, "flags to pick from"):
        raise error
    return proof
