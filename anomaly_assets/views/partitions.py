"""Which days of which asset are there, and whether they still follow from what is current."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import AnomalyAssetsError, CorruptFile, NotSealed
from anomaly_assets.domain.families import Family, names_of
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.evidence.lineage import Lineage
from anomaly_assets.evidence.stale import stale_of_day
from anomaly_assets.views.current import CurrentPartitions


class State(StrEnum):
    """What a partition is, best first."""

    SEALED = "sealed"
    STALE = "stale"
    MISSING = "missing"
    DAMAGED = "damaged"
    OUTSIDE = "not expected"


_TO_MEND = [State.DAMAGED.value, State.MISSING.value, State.STALE.value]


@dataclass(frozen=True)
class ReadOnce(Lake):
    """A lake that asks for every current seal once: for one look at many days."""

    current: CurrentPartitions = field(kw_only=True)
    known: dict[tuple[str, date], Seal | AnomalyAssetsError | None] = field(default_factory=dict)

    def find(self, asset: str, day: date, revision: str | None = None) -> Seal | None:
        """As that of ``Lake``, and the same answer every time."""
        if revision is not None:
            return super().find(asset, day, revision)
        if (asset, day) not in self.known:
            try:
                partition = self.current.find(asset, day)
                self.known[asset, day] = None if partition is None else partition.seal
            except (CorruptFile, NotSealed) as error:
                self.known[asset, day] = error
        found = self.known[asset, day]
        if isinstance(found, AnomalyAssetsError):
            raise found
        return found


def span(home: Home, families: Sequence[Family], due: date | None = None) -> DayRange | None:
    """From the first day of any asset to the last, or to the one that is ``due``; None when there is no day."""
    days = [day for asset in names_of(families) for day in home.lake.days_begun(asset)]
    return DayRange(min(days), max([*days, *([due] if due else [])]) + timedelta(days=1)) if days else None


def partition_states(
    home: Home,
    days: DayRange,
    settings_ids: Mapping[str, str],
    families: Sequence[Family],
    current: CurrentPartitions | None = None,
    *,
    due: date | None = None,
) -> pa.Table:
    """One row per day and asset: ``day, asset, state, because``, by asset in order of the graph, then by day.

    - *missing*: no seal, though an earlier day of the asset is there, and a raw day as late or later is there or due
    - *damaged*: the seal cannot be read, or a file of it is gone or has another size (its bytes are ``verify``'s to
      compare; files in an object store are not asked for)
    - *stale*: it no longer follows from the raw days and settings that are current

    Parameters
    ----------
    settings_ids : those of the configured settings, by family
    families : whose assets are looked at
    current : what knows the home's partitions from looks before
    due : the last day that should be there by the clock; None: none is due
    """
    lake = ReadOnce(home.lake.root, home.lake.locks, current=current or CurrentPartitions(home.lake))
    lineage = Lineage(lake, settings_ids)
    stale = {(found.asset, found.day): found.because for day in days for found in stale_of_day(lineage, day, families)}
    last = max([*lake.days(RAW), *([due] if due else [])], default=days.first)
    rows = [row for asset in names_of(families) for row in _of_asset(lake, asset, days, last, stale)]
    kinds = {"day": pa.date32(), "asset": pa.string(), "state": pa.string(), "because": pa.string()}
    return pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))


def _of_asset(
    lake: Lake, asset: str, days: DayRange, last: date, stale: dict[tuple[str, date], str]
) -> Iterator[dict[str, object]]:
    first = min(lake.days(asset), default=None)
    for day in days:
        state, because = _state(lake, asset, day)
        if state is State.SEALED and (asset, day) in stale:
            state, because = State.STALE, stale[asset, day]
        if state is State.MISSING and (first is None or not first <= day <= last):
            state = State.OUTSIDE
        yield {"day": day, "asset": asset, "state": state.value, "because": because}


def _state(lake: Lake, asset: str, day: date) -> tuple[State, str]:
    try:
        seal = lake.find(asset, day)
        if seal is None:
            return State.MISSING, ""
        folder = lake.folder(asset, day)
        stored = [lake.stored(seal, role) for role in seal.files] if isinstance(folder, Path) else []
        wrong = [file.name for file in stored if _size(Path(f"{folder}/{file.name}")) != file.n_bytes]
    except AnomalyAssetsError as error:
        return State.DAMAGED, error.found
    return (State.DAMAGED, f"gone or of another size: {', '.join(wrong)}") if wrong else (State.SEALED, "")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def not_in_order(states: pa.Table) -> pa.Table:
    """Of :func:`partition_states` what must be mended, the worst first, then by day."""
    bad = states.filter(pc.is_in(states.column("state"), pa.array(_TO_MEND)))
    worst_first = pc.index_in(bad.column("state"), pa.array(_TO_MEND))
    ordered = bad.append_column("place", worst_first).sort_by([("place", "ascending"), ("day", "ascending")])
    return ordered.drop_columns(["place"])


def remedies(states: pa.Table) -> list[str]:
    """Commands that mend what :func:`partition_states` found, in the order to give them; empty when all is well."""
    bad: dict[State, list[date]] = {}
    for row in not_in_order(states).to_pylist():
        bad.setdefault(State(row["state"]), []).append(row["day"])
    days = [*bad.get(State.DAMAGED, []), *bad.get(State.MISSING, [])]
    commands = [f"anomaly-assets backfill --from {min(days)} --to {max(days)}"] if days else []
    return [*commands, *(["anomaly-assets stale --rematerialize"] if State.STALE in bad else [])]


def counts_by_state(states: pa.Table) -> dict[State, int]:
    """Partitions in each state, those that occur, best first."""
    values = states.column("state").to_pylist()
    return {state: values.count(state.value) for state in State if state.value in values}
