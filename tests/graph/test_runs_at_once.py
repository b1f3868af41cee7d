"""Runs at the same time, in processes of their own: one outcome, and never a mixture of two."""

from datetime import timedelta
from pathlib import Path

import pytest

from anomaly_assets.jobs import DETECT, INGEST
from graph.apart import RunsApart
from graph.conftest import Prepared
from graph.deployment import Deploy, Deployment, source_of
from graph.invented import BUSY, DAY, FIRST, deliver, extra, ordinary_day

pytestmark = pytest.mark.xdist_group("crashes")

EARLIER = DAY - timedelta(days=1)
INSIDE = FIRST + timedelta(days=1)


def assert_of_one_piece(deployment: Deployment) -> None:
    """Window, models and scores of DAY were made from each other, and the log is whole."""
    window, models = deployment.seal("training_window", DAY), deployment.seal("wallet_models", DAY)
    scored, metrics = deployment.seal("scored_transactions", DAY), deployment.seal("anomaly_metrics", DAY)
    assert models.inputs["window"] == window.revision == scored.inputs["window"] == metrics.inputs["window"]
    assert scored.inputs["models"] == models.revision
    assert metrics.inputs["scored"] == scored.revision
    assert scored.inputs["manifest_id"] == window.inputs["manifest_id"]
    used = {row["statistical_model_id"] for row in deployment.rows(DAY).values()} - {None}
    assert used <= set(deployment.model_ids(DAY).values())
    hashes = [entry["hash"] for entry in deployment.log_entries()]
    assert len(set(hashes)) == len(hashes)
    assert deployment.temporary_files() == []


def test_two_runs_of_a_day_and_a_backfill_of_another_give_what_they_give_one_by_one(
    deploy: Deploy, prepared: Prepared, apart: RunsApart
) -> None:
    together = deploy(home=prepared.ingested, **source_of(prepared.files))
    running = [apart.start(together, DETECT, day) for day in (DAY, DAY, EARLIER)]
    assert [apart.wait(pid) for pid in running] == [0, 0, 0]
    alone = deploy(home=prepared.ingested, **source_of(prepared.files))
    alone.detect(EARLIER, DAY)

    assert together.contents("lake", "output") == alone.contents("lake", "output")
    assert together.served() == alone.served()
    assert_of_one_piece(together)
    assert len(together.log_entries()) == len(alone.log_entries()) + 4, "every run logs what it published"


def test_a_day_corrected_while_it_is_detected_ends_as_a_corrected_day(
    deploy: Deploy, own: Deployment, deliveries: Path, apart: RunsApart
) -> None:
    """Whoever loses is told to run again and leaves nothing behind."""
    deliver(deliveries, INSIDE, [*ordinary_day(INSIDE), extra(INSIDE, BUSY[0], 55.0)])
    running = [apart.start(own, job, day) for job, day in ((DETECT, DAY), (INGEST, INSIDE), (DETECT, DAY))]
    ends = [apart.wait(pid) for pid in running]
    assert ends[1] == 0
    assert set(ends) <= {0, 1}
    own.detect(DAY)
    assert_of_one_piece(own)
    assert own.served()["models:published"][b"state"] == b"complete"
    assert own.evaluation("published_models_match", DAY).passed  # type: ignore[union-attr]

    calm = deploy(**source_of(deliveries))
    calm.ingest(*(FIRST + timedelta(days=offset) for offset in range(5)))
    calm.detect(DAY)
    assert own.home.published_path(DAY).read_bytes() == calm.home.published_path(DAY).read_bytes()
