"""Links of a day's page hold when Dagster's pages are reached under a path of their own."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser.dagster_ui import free_port

from anomaly_assets.dagster_instance import prepare_instance
from graph.deployment import Deploy, source_of
from graph.invented import FIRST

pytestmark = pytest.mark.xdist_group("dagster tools")


@contextmanager
def webserver(folder: Path, instance: Path, *arguments: str) -> Iterator[str]:
    """Dagster's webserver over the settings of an instance, started in any folder."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("dagster-webserver")), "-m", "anomaly_assets.definitions"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ANOMALY_", "REDIS_", "DAGSTER_"))}
    with (folder / "webserver.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "-p", str(port), *arguments],
            cwd=folder,
            env={**environment, "DAGSTER_HOME": str(instance)},
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def status(address: str, *, patience: float = 0.0) -> int:
    """What a server answers; waits for one that does not listen yet."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  an address of our own
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.mark.parametrize(
    ("address", "prefix"),
    [("https://data.example.org/dagster/", "/dagster"), ("http://127.0.0.1:3000", "")],
    ids=["below a path", "at the root"],
)
def test_a_link_to_a_neighbour_leads_to_a_page(deploy: Deploy, deliveries: Path, address: str, prefix: str) -> None:
    settings = {**source_of(deliveries), "dashboard.dagster_address": address}
    deployment = deploy(**settings)
    deployment.ingest(FIRST)
    (event,) = deployment.materializations("raw_transactions", FIRST)
    link = str(event.metadata["same day: scored_transactions"].value)
    assert link == f"{prefix}/assets/scored_transactions?view=partitions&partition={FIRST}"
    if prefix:
        folder = deployment.folder
        (folder / "anomaly.yaml").write_text(
            f"home: home\nfirst_day: {FIRST}\nsource: {{kind: files, files: {{path: {deliveries}}}}}\n"
            f"dashboard: {{dagster_address: {address}}}\n"
        )
        instance = prepare_instance(deployment.settings, say=print)
        with webserver(folder, instance, "--path-prefix", prefix) as server:
            assert status(f"{server}{link}", patience=60) == 200
            assert status(f"{server}{link.removeprefix(prefix)}") == 404
