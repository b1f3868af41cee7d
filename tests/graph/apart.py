"""Runs in processes of their own: forked from one interpreter that has everything loaded, so that each starts at once.

``python -m graph.apart`` is that interpreter. It reads one JSON request a line: ``run`` forks a child and answers with
its process id, ``wait`` answers with how a child ended (negative: the signal).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dagster as dg
from short_folders import short_base

from graph.deployment import Deployment, error_of, source_of
from graph.invented import DAY, FIRST, WINDOW_DAYS, days_from, deliver_ordinary

HASH_SEED = "271828"


class RunsApart:
    """Starts runs in other processes and waits for them. A context manager."""

    def __enter__(self) -> Self:
        search = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": search, "PYTHONHASHSEED": HASH_SEED}
        command = [sys.executable, "-m", "graph.apart"]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)

    def start(self, deployment: Deployment, job: str, day: date, environment: Mapping[str, str] | None = None) -> int:
        """Start a run on the deployment's home; returns its process id."""
        settings = deployment.settings
        request = {
            "folder": str(deployment.folder),
            "overrides": {
                "home": str(settings.home),
                "first_day": settings.first_day.isoformat(),
                "source.kind": settings.source.kind,
                "source.files.path": str(settings.source.files.path),
            },
            "job": job,
            "day": day.isoformat(),
            "environment": dict(environment or {}),
        }
        return self._ask({"run": request})

    def wait(self, pid: int) -> int:
        """How a run ended: 0 success, 1 failure, negative the signal that killed it."""
        return self._ask({"wait": pid})

    def _ask(self, request: Mapping[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def serve() -> None:
    """Load everything by running a day, then fork on request until the input ends."""
    _warm_up()
    for line in sys.stdin:
        request = json.loads(line)
        answer = _fork(request["run"]) if "run" in request else _ended(request["wait"])
        print(answer, flush=True)  # noqa: T201  the protocol


def _warm_up() -> None:
    folder = Path(tempfile.mkdtemp(prefix="aag-", dir=short_base()))
    days = days_from(FIRST, WINDOW_DAYS + 1)
    deliver_ordinary(folder / "files", days)
    deployment = Deployment(folder, dg.DagsterInstance.ephemeral(), **source_of(folder / "files"))
    deployment.ingest(*days)
    deployment.detect(DAY)
    deployment.close()
    shutil.rmtree(folder)


def _fork(request: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os._exit(_run(request))
    except BaseException:  # noqa: BLE001  whatever it is, this child must not go on as the server
        traceback.print_exc()
        os._exit(2)


def _ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _run(request: Mapping[str, Any]) -> int:
    os.environ.update(request["environment"])
    with dg.DagsterInstance.ephemeral() as instance:
        deployment = Deployment(Path(request["folder"]), instance, **request["overrides"])
        result = deployment.run(request["job"], date.fromisoformat(request["day"]))
        if not result.success:
            sys.stderr.write(error_of(result) + "\n")
        return 0 if result.success else 1


if __name__ == "__main__":
    serve()
