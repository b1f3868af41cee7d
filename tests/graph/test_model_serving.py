"""Whatever happens to the store between training and scoring, a day is scored with its own models, or not at all."""

import os
import pickle  # noqa: TID251  as an attacker would
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from redis import Redis

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.failpoints import armed
from anomaly_assets.jobs import DETECT
from graph.conftest import Prepared
from graph.deployment import Deploy, Deployment, error_of, source_of, standing
from graph.invented import BUSY, DAY

pytestmark = pytest.mark.xdist_group("model serving")

KEY = f"model:statistical:{BUSY[0]}"
N_MODELS = 8


@pytest.fixture(scope="module")
def undisturbed(prepared: Prepared) -> Iterator[bytes]:
    """The published bytes of DAY when nothing happens."""
    with standing(prepared.ingested, **source_of(prepared.files)) as deployment:
        deployment.detect(DAY)
        yield deployment.home.published_path(DAY).read_bytes()


def detect_disturbed(deployment: Deployment, disturb: Callable[[Redis], object]) -> dg.ExecuteInProcessResult:
    """Train, disturb the store, score."""

    def act() -> None:
        with deployment.server() as client:
            disturb(client)

    with armed("scored_transactions.locked", act):
        return deployment.run(DETECT, DAY)


def served_models(deployment: Deployment) -> tuple[int, int]:
    """How many models the scores used, and how many of them came from the store."""
    metadata = deployment.materializations("scored_transactions", DAY)[0].metadata
    return metadata["models"].value, metadata["models from store"].value  # type: ignore[return-value]


def test_undisturbed_all_models_come_from_the_store(detected: Deployment) -> None:
    assert served_models(detected) == (N_MODELS, N_MODELS)


def test_flushall_between_training_and_scoring_gives_the_same_bytes(ingested: Deployment, undisturbed: bytes) -> None:
    """Never "no anomalies": the archive has what the store lost, and the check says that the store lost it."""
    result = detect_disturbed(ingested, lambda client: client.flushall())
    assert result.success
    assert ingested.home.published_path(DAY).read_bytes() == undisturbed
    assert served_models(ingested) == (N_MODELS, 0)
    assert ingested.says(result, "scoring from the archive")


class Malice:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_a_pickle_at_a_model_key_is_not_executed(ingested: Deployment, undisturbed: bytes) -> None:
    """It is rejected and counted, the archive's model is used, and the run says so."""
    executed = ingested.folder / "executed"
    payload = pickle.dumps(Malice(executed))
    result = detect_disturbed(ingested, lambda client: client.hset(KEY, "payload", payload))
    assert result.success
    assert not executed.exists()
    assert ingested.home.published_path(DAY).read_bytes() == undisturbed
    assert served_models(ingested) == (N_MODELS, N_MODELS - 1)
    metadata = ingested.materializations("scored_transactions", DAY)[0].metadata
    assert metadata["models rejected"].value == 1
    assert ingested.says(result, "1 models of the store were rejected")
    pickle.loads(payload)  # noqa: S301  the malice is real
    assert executed.exists()


GARBAGE: dict[str, Callable[[Redis], object]] = {
    "random bytes": lambda client: client.hset(KEY, "payload", b"\x00\xff" * 500),
    "nothing": lambda client: client.hset(KEY, "payload", b""),
    "half a model": lambda client: client.hset(KEY, "payload", (client.hget(KEY, "payload") or b"")[:-40]),
    "the model of another wallet": lambda client: client.hset(
        KEY, "payload", client.hget(f"model:statistical:{BUSY[1]}", "payload") or b""
    ),
    "a model of another kind": lambda client: client.hset(
        KEY, "payload", client.hget(f"model:isolation_forest:{BUSY[0]}", "payload") or b""
    ),
    "a key of another type": lambda client: (client.delete(KEY), client.set(KEY, "text")),
    "a key deleted": lambda client: client.delete(KEY),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_at_a_model_key_is_replaced_by_the_archive(ingested: Deployment, undisturbed: bytes, name: str) -> None:
    assert detect_disturbed(ingested, GARBAGE[name]).success
    assert ingested.home.published_path(DAY).read_bytes() == undisturbed
    assert served_models(ingested) == (N_MODELS, N_MODELS - 1)


def test_running_again_replaces_garbage_in_the_store(ingested: Deployment) -> None:
    assert detect_disturbed(ingested, GARBAGE["random bytes"]).success
    ingested.detect(DAY)
    assert served_models(ingested) == (N_MODELS, N_MODELS)


def assert_stops(server: EmbeddedStore) -> None:
    assert server.stop()


def test_a_store_that_dies_before_scoring_gives_the_same_bytes(
    deploy: Deploy, prepared: Prepared, short_folder: Path, undisturbed: bytes
) -> None:
    server = EmbeddedStore(short_folder / "server", 64)
    url = server.ensure_running()
    options = {"redis.url": url, "redis.socket_timeout": 0.2}
    deployment = deploy(home=prepared.ingested, **source_of(prepared.files), **options)
    try:
        with armed("scored_transactions.locked", lambda: assert_stops(server)):
            result = deployment.run(DETECT, DAY)
    finally:
        server.stop()
    assert result.success
    assert deployment.home.published_path(DAY).read_bytes() == undisturbed
    assert served_models(deployment) == (N_MODELS, 0)
    evaluation = deployment.evaluation("published_models_match", DAY)
    assert evaluation is not None
    assert not evaluation.passed
    assert "could not be compared" in (evaluation.description or "")


def test_models_lost_from_store_and_archive_are_a_clear_failure(ingested: Deployment) -> None:
    """Not a day without anomalies."""

    def lose_everything(client: Redis) -> None:
        client.flushall()
        for pack in ingested.home.models.root.rglob("*.parquet"):
            pack.unlink()

    result = detect_disturbed(ingested, lose_everything)
    assert not result.success
    assert "is neither served nor archived" in error_of(result)
    assert not ingested.home.published_path(DAY).exists()
    ingested.detect(DAY)
    assert ingested.published(DAY).num_rows > 0
