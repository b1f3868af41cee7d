"""Flags picked at random, to be verified: the same ones for the same seed and home."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date

import numpy as np

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.identity import digest_of
from anomaly_assets.steps.run import SCORED


def sample_flags(home: Home, days: Iterable[date], count: int, *, seed: str) -> dict[date, list[str]]:
    """At most ``count`` flagged transactions of ``days``, each flag as likely as any other, by day.

    Raises ``CorruptFile`` or ``NotSealed`` when a day's scores cannot be read: they might hold what would be picked.
    """
    flags: list[tuple[date, str]] = []
    for day in days:
        scored = home.lake.read(home.lake.require(SCORED, day), "scored", ["TX_ID", "is_anomaly"])
        flagged = scored.filter(scored.column("is_anomaly")).column("TX_ID").to_pylist()
        flags += [(day, tx_id) for tx_id in flagged]
    random = np.random.default_rng(int(digest_of(seed)[:16], 16))
    picked: dict[date, list[str]] = defaultdict(list)
    for index in sorted(random.permutation(len(flags))[:count].tolist()):
        picked[flags[index][0]].append(flags[index][1])
    return dict(picked)
