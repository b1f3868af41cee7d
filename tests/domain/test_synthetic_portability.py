"""Invented days are the same bytes on every CPU family: a process with all vector features switched off agrees."""

import os
import subprocess
import sys
from typing import Any, cast

import numpy as np
import pytest

_PROGRAM = """
import pyarrow as pa
from datetime import date
from anomaly_assets.domain.identity import digest
from anomaly_assets.domain.table_identity import canonical_array, table_digest
from anomaly_assets.domain.synthetic import arithmetic
from anomaly_assets.domain.synthetic.days import rows_of_day
from anomaly_assets.domain.synthetic.randomness import Stream, raw, unit
from anomaly_assets.domain.synthetic.tables import transactions_batch
from anomaly_assets.domain.synthetic.wallets import wallets_of
from anomaly_assets.domain.synthetic.world import World

u = unit(raw(1, None, Stream.ROW_AMOUNT, 200_000))
own = (arithmetic.log(u), arithmetic.exp(10 * u), arithmetic.normal_quantile(u))
print("arithmetic", digest(*(canonical_array(values) for values in own)))
world = World(2, 20_000, 50_000, 50.0, 0.1, date(2024, 1, 1))
wallets = wallets_of(world)
laws = (wallets.rate, wallets.log_median, wallets.sigma, wallets.hours.slots, wallets.start)
print("laws", digest(*(canonical_array(values) for values in laws)))
day = date(2024, 8, 9)
batch = transactions_batch(world, wallets, day, rows_of_day(world, wallets, day))
print("day", table_digest(pa.Table.from_batches([batch])))
"""


def digests(**environment: str) -> dict[str, str]:
    """What the program prints, run with these environment variables."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split() for line in done.stdout.splitlines())


def test_arithmetic_laws_and_days_are_the_same_bytes_with_vector_features_switched_off() -> None:
    features = cast("Any", np.show_config)(mode="dicts")["SIMD Extensions"].get("found", [])
    if not features:
        pytest.skip("numpy found no vector features to switch off on this CPU")
    with_features, without = digests(), digests(NPY_DISABLE_CPU_FEATURES=" ".join(features))
    for name in ("arithmetic", "laws", "day"):
        assert with_features[name] == without[name]
