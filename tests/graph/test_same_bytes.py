"""The same transactions give the same bytes: in any row order and file layout, under any hash seed."""

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from anomaly_assets.jobs import DETECT, INGEST
from graph.apart import RunsApart
from graph.deployment import Deploy, Deployment, source_of
from graph.invented import DAY, FIRST, WINDOW_DAYS, days_from, deliver, ordinary_day

pytestmark = pytest.mark.xdist_group("crashes")


@pytest.mark.parametrize("seed", [1, 2])
def test_shuffled_rows_under_another_hash_seed_give_the_same_bytes(
    deploy: Deploy, detected: Deployment, apart: RunsApart, short_folder: Path, seed: int
) -> None:
    """In another process: its sets and dictionaries of text are in another order, its files hold other rows first."""
    files, shuffle = short_folder / "shuffled", random.Random(seed).shuffle
    everything = [row for day in days_from(FIRST, WINDOW_DAYS + 1) for row in ordinary_day(day)]
    shuffle(everything)
    for part in range(3):  # the names say nothing of days
        deliver(files, FIRST.replace(year=1990 + part), everything[part::3])
    shuffled = deploy(**source_of(files))
    for day in days_from(FIRST, WINDOW_DAYS + 1):
        assert apart.wait(apart.start(shuffled, INGEST, day)) == 0
    assert apart.wait(apart.start(shuffled, DETECT, DAY)) == 0

    assert shuffled.home.published_path(DAY).read_bytes() == detected.home.published_path(DAY).read_bytes()
    assert shuffled.model_ids(DAY) == detected.model_ids(DAY)
    for asset in ("raw_transactions", "training_window", "wallet_models", "scored_transactions", "anomaly_metrics"):
        ours, theirs = shuffled.seal(asset, DAY), detected.seal(asset, DAY)
        assert ours.revision == theirs.revision
        assert ours.files == theirs.files
    assert pq.read_metadata(next(files.glob("*.parquet"))).num_rows > 50
