"""A run killed at any named point leaves no half day, and running again gives what an undisturbed run gives."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import anomaly_assets
from anomaly_assets.adapters import failpoints
from anomaly_assets.jobs import DETECT, INGEST
from graph.apart import RunsApart
from graph.conftest import Prepared
from graph.deployment import Deploy, Deployment, source_of, standing
from graph.invented import DAY

pytestmark = pytest.mark.xdist_group("crashes")

RAW = "raw_transactions"
DETECTION = ("training_window", "wallet_models", "scored_transactions", "anomaly_metrics")
OF_EVERY_ASSET = ("locked", "staged", "checked", "renamed", "recorded", "sealed", "logged")
OF_MODELS = ("archived", "store_begin", "store_batch", "store_delete", "store_complete")
POINTS = [
    *(f"{asset}.{point}" for asset in (RAW, *DETECTION) for point in OF_EVERY_ASSET),
    *(f"wallet_models.{point}" for point in OF_MODELS),
    "scored_transactions.published",
]
WRITTEN = ("lake", "output", "models", "truth")
ROLES = {
    RAW: ("transactions", "wallets", "quarantine"),
    "training_window": ("wallets",),
    "wallet_models": ("models",),
    "scored_transactions": ("scored",),
    "anomaly_metrics": ("metrics",),
}
STRAY = "model:statistical:gone"
"""A model of a wallet that has none any more: publishing deletes it."""


class Undisturbed(NamedTuple):
    """What a home holds that nothing was done to: files by path, and the store."""

    ingested: dict[str, str]
    detected: dict[str, str]
    served: dict[str, object]


@pytest.fixture(scope="module")
def undisturbed(prepared: Prepared) -> Iterator[Undisturbed]:
    with standing(prepared.history, **source_of(prepared.files)) as deployment:
        deployment.ingest(DAY)
        ingested = deployment.contents(*WRITTEN)
        deployment.detect(DAY)
        yield Undisturbed(ingested, deployment.contents(*WRITTEN), deployment.served())


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_run_again_is_the_same_as_undisturbed(
    deploy: Deploy, prepared: Prepared, apart: RunsApart, undisturbed: Undisturbed, point: str
) -> None:
    job, home = (INGEST, prepared.history) if point.startswith(RAW) else (DETECT, prepared.ingested)
    deployment = deploy(home=home, **source_of(prepared.files))
    with deployment.server() as client:
        client.hset(STRAY, "generation", "1")
        client.zadd("model_updates", {"statistical:gone": 1})

    killed = apart.start(deployment, job, DAY, {failpoints.ENV: f"{point}=kill"})
    assert apart.wait(killed) == -signal.SIGKILL, f"{point} is never passed"
    assert_no_half_day(deployment, undisturbed)

    result = deployment.run(job, DAY)
    assert result.success
    assert deployment.contents(*WRITTEN) == (undisturbed.ingested if job == INGEST else undisturbed.detected)
    if job == DETECT:
        assert deployment.served() == undisturbed.served
        assert deployment.failed_checks(DAY) == set()
    assert deployment.temporary_files() == []
    assert deployment.log_entries()[-1]["asset"] == (RAW if job == INGEST else DETECTION[-1])


def assert_no_half_day(deployment: Deployment, undisturbed: Undisturbed) -> None:
    """What readers can see is whole: sealed partitions, the published file, the store's publication."""
    lake = deployment.home.lake
    for asset, roles in ROLES.items():
        seal = lake.find(asset, DAY)
        for role in roles if seal else ():
            assert lake.read(seal, role).num_rows == seal.files[role].n_rows  # type: ignore[arg-type, union-attr]
    published = {path.name: digest for path, digest in _published(deployment).items() if not path.name.startswith(".")}
    assert published.items() <= {Path(name).name: digest for name, digest in undisturbed.detected.items()}.items()
    served = deployment.served()
    if served.get("models:published", {}).get(b"state") == b"complete":
        assert served == undisturbed.served


def _published(deployment: Deployment) -> dict[Path, str]:
    return {Path(name): digest for name, digest in deployment.contents("output").items()}


def test_no_named_point_is_left_out() -> None:
    """Every failpoint in the package is one at which the test above kills, or one of gc or erase (tests/evidence) or
    of dagster-restore (tests/cli).
    """
    source = "\n".join(path.read_text() for path in Path(anomaly_assets.__file__).parent.rglob("*.py"))
    named = set(re.findall(r'failpoint\(f"\{[\w.]+\}\.(\w+)', source))
    assert len(re.findall(r"\bfailpoint\(", source)) - 1 == len(re.findall(r'failpoint\(f"\{[\w.]+\}\.', source))
    elsewhere = {"rewritten", "decided", "emptied", "reported"}
    assert named == {*OF_EVERY_ASSET, "archived", "published", "store_", *elsewhere}
    publisher = (Path(anomaly_assets.__file__).parent / "adapters" / "model_publisher.py").read_text()
    checkpoints = set(re.findall(r'checkpoint\("(\w+)"\)', publisher))
    assert {f"store_{point}" for point in checkpoints} == {point for point in OF_MODELS if point.startswith("store_")}
