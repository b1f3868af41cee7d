"""Which model payloads are needed still; the archive drops the others. What is dropped is fitted again from its recipe.

Needed are the payloads of every recorded revision of ``wallet_models`` of the kept days, those that flagged a row in
any recorded revision of ``scored_transactions``, and those of models that their day was not scored with yet. A payload
is needed near the day that lists it, because that is where the archive looks for it.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.adapters.model_archive import NEARBY_DAYS, Surplus
from anomaly_assets.adapters.object_path import listed
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.lineage import MODELS, SCORED
from anomaly_assets.domain.published import anomaly_column, model_id_column


@dataclass(frozen=True)
class Collected:
    """What gc did, or would do.

    Parameters
    ----------
    first_kept, newest : the days whose models are all kept, both included; None when no day has models
    archive : payloads kept and dropped
    """

    first_kept: date | None
    newest: date | None
    archive: Surplus


def collect(home: Home, *, keep_days: int, timeout_seconds: float, dry_run: bool = False) -> Collected:
    """Drop the payloads that no kept day lists and that never flagged anything.

    Parameters
    ----------
    keep_days : days before the newest one with models that keep everything
    timeout_seconds : how long to wait for runs that train a day whose payloads are looked at
    dry_run : only say what would be dropped

    Raises ``CorruptFile`` or ``NotSealed`` when anything that says what is needed cannot be read; nothing is dropped
    then. Raises ``Busy`` when a run trains for longer than ``timeout_seconds``; what was not dropped is next time.
    """
    published, *trials = lakes = home.lakes
    newest = max(
        published.days_begun(MODELS) or [day for lake in trials for day in lake.days_begun(MODELS)], default=None
    )
    if newest is None:
        return Collected(None, None, Surplus())
    first_kept = newest - timedelta(days=keep_days)
    needs = _Needs(first_kept)
    needed = needs.by_day(
        lakes, {day for lake in lakes for asset in (MODELS, SCORED) for day in lake.days_begun(asset)}
    )
    total = Surplus()
    for day in home.models.days():
        near = _near(day)
        found = home.models.surplus(day, _union(needed, near))
        if found.dropped and not dry_run:
            with _no_training(lakes, near, timeout_seconds):
                found = home.models.drop(day, _union(needs.by_day(lakes, near), near), timeout_seconds=timeout_seconds)
        total += found
    return Collected(first_kept, newest, total)


@dataclass(frozen=True)
class _Needs:
    """Reads what days need; tables are read once, seals whenever asked."""

    first_kept: date
    ids_of_file: dict[str, frozenset[str]] = field(default_factory=dict)

    def by_day(self, lakes: Iterable[Lake], days: Iterable[date]) -> dict[date, set[str]]:
        """Per day the model ids that it needs."""
        return {day: set().union(*(self._of(lake, day) for lake in lakes)) for day in days}

    def _of(self, lake: Lake, day: date) -> set[str]:
        models, scored = _recorded(lake, MODELS, day), _recorded(lake, SCORED, day)
        if day < self.first_kept:
            # a run that was killed, or one that goes on, has yet to score with them
            judged_by = {seal.inputs["models"] for seal in scored.values()}
            current = lake.find(MODELS, day)
            models = {current.seal_id: current} if current and current.revision not in judged_by else {}
        listed = [self._ids(lake, seal, "models") for seal in models.values()]
        return set().union(*listed, *(self._ids(lake, seal, "scored") for seal in scored.values()))

    def _ids(self, lake: Lake, seal: Seal, role: str) -> frozenset[str]:
        digest = seal.files[role].sha256
        if digest not in self.ids_of_file:
            table = lake.read(seal, role)
            self.ids_of_file[digest] = _flagging(table) if role == "scored" else _ids_in(table.column("model_id"))
        return self.ids_of_file[digest]


def _flagging(scored: pa.Table) -> frozenset[str]:
    """Ids of the models that flagged a row, of whatever detectors the table tells."""
    suffix = model_id_column("")
    detectors = [name.removesuffix(suffix) for name in scored.column_names if name.endswith(suffix)]
    flagged = (scored.column(model_id_column(name)).filter(scored.column(anomaly_column(name))) for name in detectors)
    return frozenset[str]().union(*map(_ids_in, flagged))


def _ids_in(column: pa.ChunkedArray) -> frozenset[str]:
    return frozenset(pc.unique(column.drop_null()).to_pylist())


def _recorded(lake: Lake, asset: str, day: date) -> dict[str, Seal]:
    """The current seal and every earlier one by seal id. Raises ``CorruptFile`` or ``NotSealed``."""
    current = lake.find(asset, day)
    paths = listed(lake.folder(asset, day) / "seals" / "all", "*.json")
    seals = [Seal.from_bytes(path.read_bytes(), f"{asset}/{day}/seals/all/{path.name}") for path in paths]
    return {seal.seal_id: seal for seal in [*seals, *([current] if current else [])]}


def _near(day: date) -> DayRange:
    """The days that look for payloads in the packs of ``day``."""
    return DayRange(day - timedelta(days=NEARBY_DAYS), day + timedelta(days=NEARBY_DAYS + 1))


def _union(needed: Mapping[date, set[str]], days: DayRange) -> set[str]:
    return set().union(*(needed.get(day, ()) for day in days))


@contextmanager
def _no_training(lakes: Iterable[Lake], days: DayRange, timeout_seconds: float) -> Iterator[None]:
    """Hold off runs that may find a payload archived and then list it: those of ``days``."""
    with ExitStack() as stack:
        for number, lake in enumerate(lakes):
            if number and not set(lake.days_begun(MODELS)).intersection(days):
                continue  # a trial elsewhere; the number of open files is limited
            for day in days:
                lock = lake.locks / MODELS / f"{day.isoformat()}.lock"
                stack.enter_context(exclusive(lock, timeout_seconds=timeout_seconds))
        yield
