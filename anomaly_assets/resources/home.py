"""The home as a Dagster resource."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.dagster_home import require_same_instance
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.private_files import prepare_root, share_databases
from anomaly_assets.domain.errors import InstanceUnavailable, PermanentError
from anomaly_assets.resources.one_day import require_one_day
from anomaly_assets.run_tags import HOME_TAG
from anomaly_assets.steps.run import Run

_ENDING = {dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED}


def home_tag(home: Home) -> dict[str, str]:
    """The tag of runs of a home; empty while it is none, or ``home.json`` is damaged, which steps tell."""
    try:
        record = home.record()
    except PermanentError:
        return {}
    return {HOME_TAG: str(record["home_id"])} if record else {}


class HomeResource(dg.ConfigurableResource):
    """Folder of everything a run writes, bound to one source, first day and Dagster instance."""

    root: str
    instance: str
    first_day: str
    lock_timeout_seconds: float
    threads: int
    window_cache_mb: int
    elsewhere: dict[str, str] = Field(default_factory=dict)
    settings_folder: str = ""
    group: str = ""
    output_readers: str = ""
    detectors: list[str] = Field(default_factory=list)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Self]:
        """Refuse a run before it writes anything: of another Dagster instance, where `erase` would not find its
        records, and of several days or none.

        A run is seen alive in the home for as long as it has this resource, and tagged with its home.
        """
        if context.instance and not context.instance.is_ephemeral:
            require_same_instance(context.instance.root_directory, Path(self.instance))
        with ExitStack() as stack:
            if context.run:
                require_one_day(context.instance, context.run)
                prepare_root(Path(self.root), self.group or None)
                share_databases(Path(self.instance), context.run.run_id)
                stack.enter_context(self.open().heartbeats.beating(context.run.run_id))
                if context.instance:
                    stack.enter_context(_tagged(context.instance, context.run, self.open()))
            yield self

    def open(self) -> Home:
        """The home's paths and stores; creates nothing."""
        return Home(
            Path(self.root),
            self.elsewhere,
            Path(self.settings_folder) if self.settings_folder else None,
            self.output_readers or None,
            self.detectors,
        )

    @property
    def first(self) -> date:
        """First day of the home."""
        return date.fromisoformat(self.first_day)

    @property
    def compute(self) -> Compute:
        """What of the machine a run may use."""
        return Compute(self.threads, self.window_cache_mb * 1024 * 1024)

    def run(self, context: dg.AssetExecutionContext | dg.OpExecutionContext, now: Callable[[], datetime]) -> Run:
        """What steps need to know of the Dagster run they are part of."""
        instance, run_id = context.instance, context.run.run_id

        def end_if_terminated() -> None:
            # a run of a command has no process that Dagster's pages could send a signal to
            try:
                run = instance.get_run_by_id(run_id)
            except SQLAlchemyError as error:
                raise InstanceUnavailable(
                    f"nobody knows whether the run was terminated: {type(error).__name__} in Dagster's records",
                    remedy="the step is tried again; anomaly-assets doctor looks at the records",
                ) from error
            if run and run.status in _ENDING:
                raise dg.DagsterExecutionInterruptedError

        return Run(
            home=self.open(),
            run_id=run_id,
            now=now,
            say=context.log.info,
            lock_timeout_seconds=self.lock_timeout_seconds,
            compute=self.compute,
            end_if_asked=end_if_terminated,
        )


@contextmanager
def _tagged(instance: dg.DagsterInstance, run: dg.DagsterRun, home: Home) -> Iterator[None]:
    """Tag a run with its home: when it begins, or when it ends if it was the one that made the home."""
    tags = home_tag(home)
    if tags.items() - run.tags.items():
        instance.add_run_tags(run.run_id, tags)
    try:
        yield
    finally:
        if not tags and (made := home_tag(home)):
            instance.add_run_tags(run.run_id, made)
