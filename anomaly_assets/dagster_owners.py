"""Which home a record of Dagster belongs to: several homes may share an instance, and wallet ids with it."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState
from dagster._core.storage.tags import BACKFILL_ID_TAG

from anomaly_assets.run_tags import HOME_TAG, PROCESS_TAG

Homes = frozenset[str]
NOBODY = Homes()
"""Of a record that tells no home, as those of releases before 0.3.0 do not."""


class RecordOwners:
    """Says which records are of other homes alone.

    Parameters
    ----------
    home_id : the home that asks
    runs : every run that is known
    states : of every schedule and sensor that is known

    A run tells its home by a tag. A backfill belongs to the homes of its runs, a schedule or sensor to those of what
    its code location ran.
    """

    def __init__(self, home_id: str, runs: Iterable[dg.DagsterRun], states: Iterable[InstigatorState]) -> None:
        self._home_id = home_id
        self._runs: dict[str, Homes] = {}
        backfills, locations = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
        for run in runs:
            home = run.tags.get(HOME_TAG)
            self._runs[run.run_id] = NOBODY if home is None else Homes({home})
            if home is not None and (backfill := run.tags.get(BACKFILL_ID_TAG)):
                backfills[backfill].add(home)
            # a command names the usual code location, wherever its home's own are loaded
            if home is not None and run.remote_job_origin is not None and PROCESS_TAG not in run.tags:
                locations[run.remote_job_origin.location_name].add(home)
        self._backfills = {name: Homes(homes) for name, homes in backfills.items()}
        instigators = defaultdict[str, set[str]](set)
        for state in states:
            instigators[state.selector_id] |= locations[
                state.origin.repository_origin.code_location_origin.location_name
            ]
        self._instigators = {name: Homes(homes) for name, homes in instigators.items()}

    def of_run(self, run_id: str | None) -> Homes:
        """The home of a run."""
        return self._runs.get(run_id or "", NOBODY)

    def of_record(self, record: str | None) -> Homes:
        """The home of the run that wrote an event, of which Dagster keeps a copy."""
        entry = json.loads(record or "{}").get("event_log_entry", {})
        return self.of_run(entry.get("run_id"))

    def of_backfill(self, backfill_id: str | None) -> Homes:
        """The homes that a backfill started runs of."""
        return self._backfills.get(backfill_id or "", NOBODY)

    def of_instigator(self, selector_id: str | None) -> Homes:
        """The homes of the code location that a schedule or sensor is in."""
        return self._instigators.get(selector_id or "", NOBODY)

    def are_others(self, homes: Homes, record: Any = None) -> bool:
        """Whether a record is of other homes alone.

        Parameters
        ----------
        homes : what tells from outside to whom it belongs
        record : its JSON, which may name its home or its runs; that is the better answer
        """
        homes = Homes().union(*self._named_in(record)) or homes
        return bool(homes) and self._home_id not in homes

    def _named_in(self, value: Any) -> Iterator[Homes]:
        if isinstance(value, Mapping):
            for key, part in value.items():
                if key == HOME_TAG:
                    yield Homes(_strings(part))
                elif key in {"run_ids", "origin_run_ids"}:
                    yield from (self.of_run(run_id) for run_id in _strings(part))
                else:
                    yield from self._named_in(part)
        elif isinstance(value, list):
            for part in value:
                yield from self._named_in(part)


def _strings(value: Any) -> Iterator[str]:
    """The text of a tag, or those of a metadata value or a list."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (part for key, part in value.items() if isinstance(part, str) and not key.startswith("__"))
    elif isinstance(value, list):
        yield from (part for part in value if isinstance(part, str))
