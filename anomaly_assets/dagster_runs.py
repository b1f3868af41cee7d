"""Dagster runs started from the command line: the jobs of the deployment, one run per day, all visible in the UI."""

import multiprocessing
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from datetime import date
from types import TracebackType
from typing import NamedTuple, Self

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import make_new_run_id

from anomaly_assets.adapters.heartbeats import Heartbeats
from anomaly_assets.adapters.home import Home
from anomaly_assets.composition import build_definitions
from anomaly_assets.dagster_instance import open_instance, prepare_instance
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.dagster_server import answered
from anomaly_assets.interrupts import Interrupts, noticed
from anomaly_assets.loading import look_seldom
from anomaly_assets.resources.home import home_tag
from anomaly_assets.run_tags import PROCESS_TAG, RUN_TAG
from anomaly_assets.settings import Settings

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
TERMINATED = "terminated on Dagster's pages"
PARALLEL_FROM = 16
"""Fewer days are run in this process: starting others costs seconds."""


class RunResult(NamedTuple):
    """How the run of one day ended; ``error`` is empty when it succeeded."""

    day: date
    error: str


def unheard(_: str) -> None:
    """Who does not listen."""


class DagsterRuns:
    """Runs jobs against the Dagster instance of the settings. A context manager.

    ``say`` is told what was changed in the instance's ``dagster.yaml``. An interrupt ends it with
    ``KeyboardInterrupt`` after the day under way.
    """

    def __init__(self, settings: Settings, tags: Mapping[str, str], say: Callable[[str], None] = unheard) -> None:
        self._settings, self._tags, self._say, self._stack = settings, dict(tags), say, ExitStack()
        self._interrupts = Interrupts()

    def __enter__(self) -> Self:
        folder = prepare_instance(self._settings, say=self._say)
        with ExitStack() as opened:  # whoever cannot enter leaves no instance behind as Dagster's current one
            self._instance = opened.enter_context(open_instance(folder))
            # runs that train are started one after the other; those of workers ingest, which takes one thread
            self._definitions = build_definitions(self._settings, runs_at_once=1)
            _fail_dead_runs(self._instance, Home(self._settings.home).heartbeats)
            if multiprocessing.parent_process() is None:  # the command tells its workers when to end
                self._interrupts = opened.enter_context(noticed())
            self._stack = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def each(self, job: str, days: Sequence[date]) -> Iterator[RunResult]:
        """Run ``job`` for each day in order, in this process."""
        return (self.one(job, day) for day in days)

    def all(self, job: str, days: Sequence[date]) -> Iterator[RunResult]:
        """Run ``job`` for each day in any order, as many at once as the settings allow runs."""
        workers = min(self._settings.max_concurrent_runs, len(days) // (PARALLEL_FROM // 2))
        if workers < 2:
            yield from self.each(job, days)
            return
        # workers start afresh: nothing of this process (threads, connections) may be forked into them
        fresh = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, fresh, initializer=_open_worker, initargs=(self._settings, self._tags))
        try:
            waiting = [pool.submit(_run_in_worker, job, day) for day in days]
            for finished in as_completed(waiting):
                yield finished.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def one(self, job: str, day: date) -> RunResult:
        """Run ``job`` for one day, named without the prefix that it may have in Dagster.

        Raises ``InstanceUnavailable`` when the server of Dagster's records goes away.
        """
        run_id, name = make_new_run_id(), DagsterNames(self._settings.dagster.key_prefix).of(job)
        with answered(self._settings.instance_folder):
            definition = self._definitions.resolve_job_def(name)
            run = self._instance.create_run_for_job(
                definition,
                run_id=run_id,
                run_config=_QUIET,
                tags={
                    **definition.run_tags,
                    **definition.get_tags_for_partition_key(day.isoformat(), selected_asset_keys=None),
                    **self._tags,
                    **home_tag(Home(self._settings.home)),
                    PROCESS_TAG: _this_process(),
                    RUN_TAG: run_id,
                    MAX_RETRIES_TAG: "0",  # whoever called the command is told, and calls it again
                },
                # with it, Dagster's pages can run the day again: they look for the job where the run says it was
                remote_job_origin=RemoteJobOrigin(
                    RemoteRepositoryOrigin(code_location(self._settings), SINGLETON_REPOSITORY_NAME), name
                ),
            )
            result = execute_run(InMemoryJob(definition), run, self._instance)
        self._interrupts.check()
        return RunResult(day, "" if result.success else _error_of(result))


def code_location(settings: Settings) -> ManagedGrpcPythonEnvCodeLocationOrigin:
    """Where Dagster's pages and daemon load the deployment from."""
    target = LoadableTargetOrigin(module_name="anomaly_assets.definitions")
    return ManagedGrpcPythonEnvCodeLocationOrigin(target, settings.dagster_location)


_of_worker: list[DagsterRuns] = []
"""The runs of a worker process, opened once and for its whole life."""


def _open_worker(settings: Settings, tags: Mapping[str, str]) -> None:
    look_seldom()
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    _of_worker.append(DagsterRuns(settings, tags).__enter__())


def _end_with_the_command() -> None:
    """End this worker when the command that started it is killed: nobody else would, and it waits for ever."""
    command = multiprocessing.parent_process()
    if command is not None:
        command.join()
        os._exit(1)


def _run_in_worker(job: str, day: date) -> RunResult:
    return _of_worker[0].one(job, day)


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _fail_dead_runs(instance: dg.DagsterInstance, heartbeats: Heartbeats) -> None:
    """Report runs of killed commands as failed: in Dagster's eyes they run for ever and hold a place in its queue."""
    host = socket.gethostname()
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        where, _, pid = run.tags.get(PROCESS_TAG, "").rpartition(":")
        # releases before 0.3.0 did not say whose process it is
        is_its_own = run.tags.get(RUN_TAG) == run.run_id or (RUN_TAG not in run.tags and run.parent_run_id is None)
        if where == host and is_its_own and not _is_alive(int(pid)):
            heartbeats.take_for_dead(run.run_id)
            instance.report_run_failed(run, "the command that ran it was killed; run it again")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _error_of(result: dg.JobExecutionResult) -> str:
    if result.dagster_run.status is dg.DagsterRunStatus.CANCELED:
        return TERMINATED
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            described = failure.user_failure_data
            if described and described.description:
                return described.description
            return failure.error.message.strip() if failure.error else "unknown error"
    return "the run failed before its first step"
