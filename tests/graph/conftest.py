"""Deployments for tests of the graph; every store they start is stopped, every folder removed."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
from short_folders import short_base
from snowflake_stand_in import snowflake_port, stand_in

from graph.apart import RunsApart
from graph.deployment import Deploy, Deployment, source_of
from graph.invented import DAY, FIRST, WINDOW_DAYS, days_from, deliver_ordinary
from graph.receiver import Receiver

__all__ = ["snowflake_port", "stand_in"]  # fixtures


class Prepared(NamedTuple):
    """Ordinary days FIRST..DAY as files, and homes to copy: of days before DAY, and of all, ingested and no more."""

    files: Path
    history: Path
    ingested: Path


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder whose path is short enough for a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="aag-", dir=short_base()))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def deploy(short_folder: Path) -> Iterator[Deploy]:
    """Makes deployments with instances of their own, in memory.

    ``home`` is a folder to start from a copy of, ``beside`` another deployment whose home is shared.
    """
    made: list[Deployment] = []

    def make(*, home: Path | None = None, beside: Deployment | None = None, **overrides: Any) -> Deployment:
        folder = short_folder / str(len(made))
        folder.mkdir()
        if home:
            shutil.copytree(home, folder / "home")
        if beside:
            overrides = {"home": beside.settings.home, **overrides}
        made.append(Deployment(folder, dg.DagsterInstance.ephemeral(), **overrides))
        return made[-1]

    yield make
    for deployment in made:
        deployment.close()


@pytest.fixture(scope="session")
def prepared() -> Iterator[Prepared]:
    """Only to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="aag-", dir=short_base()))
    days = days_from(FIRST, WINDOW_DAYS + 1)
    deliver_ordinary(folder / "files", days)
    deployment = Deployment(folder, dg.DagsterInstance.ephemeral(), **source_of(folder / "files"))
    deployment.ingest(*days[:-1])
    shutil.copytree(folder / "home", folder / "history")
    deployment.ingest(DAY)
    deployment.close()
    yield Prepared(folder / "files", folder / "history", folder / "home")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def ingested(deploy: Deploy, prepared: Prepared) -> Deployment:
    """A deployment whose days FIRST..DAY are ordinary and ingested."""
    return deploy(home=prepared.ingested, **source_of(prepared.files))


@pytest.fixture
def detected(ingested: Deployment) -> Deployment:
    """The same with DAY trained and scored."""
    ingested.detect(DAY)
    return ingested


@pytest.fixture(scope="session")
def delivered() -> Iterator[Path]:
    """A folder with a ``home`` to copy and, in ``changed``, what is made anew for each test: its ``deliveries``.

    A home is bound to the folder that it is filled from, so that the folder is the same for all.
    """
    folder = Path(tempfile.mkdtemp(prefix="aag-", dir=short_base()))
    days = days_from(FIRST, WINDOW_DAYS + 1)
    deliveries = folder / "changed" / "deliveries"
    deliver_ordinary(deliveries, days)
    deployment = Deployment(folder, dg.DagsterInstance.ephemeral(), **source_of(deliveries))
    deployment.ingest(*days)
    deployment.close()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def deliveries(delivered: Path) -> Path:
    """A folder of ordinary daily files FIRST..DAY that a test may change; nothing else is beside it."""
    shutil.rmtree(delivered / "changed")
    folder = delivered / "changed" / "deliveries"
    deliver_ordinary(folder, days_from(FIRST, WINDOW_DAYS + 1))
    return folder


@pytest.fixture
def own(deploy: Deploy, delivered: Path, deliveries: Path) -> Deployment:
    """A deployment that has ingested FIRST..DAY of ``deliveries``; its instance knows of no run yet."""
    return deploy(home=delivered / "home", **source_of(deliveries))


@pytest.fixture(scope="session")
def apart() -> Iterator[RunsApart]:
    """Runs in other processes."""
    with RunsApart() as runs:
        yield runs


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()
