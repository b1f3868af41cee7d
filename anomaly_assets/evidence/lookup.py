"""Where a transaction is: the days whose raw transactions or scores hold its id, now or in an earlier revision."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow.compute as pc

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.id_index import hash_of, may_hold
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.domain.errors import CorruptFile, Erased, NotSealed
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.lineage import RAW, SCORED

_IDS = {RAW: ("transactions", "tx_id"), SCORED: ("scored", "TX_ID")}
"""Role and column of the ids of an asset."""


@dataclass(frozen=True)
class Place:
    """A day that holds a transaction, or held it.

    Parameters
    ----------
    day : which day
    in_raw : whether the current raw transactions hold it; None when they cannot be read
    in_scores : whether the current scores hold it; None when they cannot be read
    earlier_raw : revisions of the raw day that hold it and are not current
    """

    day: date
    in_raw: bool | None
    in_scores: bool | None
    earlier_raw: tuple[str, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether something current of the day holds it."""
        return bool(self.in_raw or self.in_scores)

    def as_json(self) -> JsonObject:
        """JSON form without the day; null for what cannot be read."""
        return {
            "current_raw": self.in_raw,
            "current_scores": self.in_scores,
            "earlier_raw_revisions": list(self.earlier_raw),
        }


def places_of(home: Home, tx_id: str, day: date | None = None) -> list[Place]:
    """Every day (or only ``day``, if it does) that holds the id in any revision, ascending.

    Raises ``CorruptFile`` when a day that has to be read is damaged and nothing else of it tells.
    """
    hashed = hash_of(tx_id)
    days = [day] if day else sorted({*home.lake.days(RAW), *home.lake.days(SCORED)})
    return [place for each in days if (place := _place(home, each, tx_id, hashed)) is not None]


def require_places_of(home: Home, tx_id: str, day: date | None = None) -> list[Place]:
    """Like :func:`places_of`, but raises ``NotSealed`` when no day (or not ``day``) holds the id in any revision.

    ``Erased`` when one did, of a wallet that was erased since.
    """
    places = places_of(home, tx_id, day)
    if not places and (gone := [when for when in erased_days_of(home, tx_id) if day in {None, when}]):
        raise erased(tx_id, gone)
    if not places:
        where = f"no raw day of {home.root} holds" if day is None else f"raw_transactions of {day} does not hold"
        raise NotSealed(
            f"{where} a transaction {tx_id!r}",
            expected="an id as in TX_ID of the published files",
            remedy="check the id, --home and --day; it may be in a day's quarantine, which is beside the raw day",
        )
    return places


def days_of(home: Home, tx_id: str) -> list[date]:
    """Days whose current raw transactions or current scores hold the id, ascending.

    Raises ``CorruptFile`` when a day that has to be read is damaged and nothing else of it tells.
    """
    return [place.day for place in places_of(home, tx_id) if place.is_current]


def require_days_of(home: Home, tx_id: str) -> list[date]:
    """Like :func:`days_of`, but raises ``NotSealed`` when no day holds the id now."""
    places = require_places_of(home, tx_id)
    days = [place.day for place in places if place.is_current]
    if not days:
        before = ", ".join(str(place.day) for place in places)
        raise NotSealed(
            f"a transaction {tx_id!r} was removed by a correction of {before}",
            expected="an id that the current raw day or its current scores hold",
            remedy=f"anomaly-assets trace names the revisions that hold it; choose one with --day {places[-1].day} "
            "--revision",
        )
    return days


def erased_days_of(home: Home, tx_id: str) -> list[date]:
    """Days that held the id, of wallets that were erased since, ascending. Raises ``CorruptFile``."""
    return sorted({day for _, day in home.erasures.with_transaction(tx_id)})


def days_told_of(home: Home, tx_id: str) -> list[date]:
    """Days that hold the id now or held it before its wallet was erased, as far as days can be read, ascending."""
    days = erased_days_of(home, tx_id)
    with suppress(CorruptFile, NotSealed):
        days = sorted({*days, *days_of(home, tx_id)})
    return days


def erased(tx_id: str, days: Collection[date]) -> Erased:
    """The error of who asks for a transaction of an erased wallet."""
    return Erased(
        f"{tx_id!r} was erased with its wallet (it was of {', '.join(map(str, sorted(days)))})",
        expected="a transaction of a wallet that was not erased",
        remedy="nothing: what stays is in the publication log and in erasures/, by digests",
    )


def _place(home: Home, day: date, tx_id: str, hashed: np.uint64) -> Place | None:
    lake, folder = home.lake, home.lake.local_folder(RAW, day)
    recorded = lake.revisions(RAW, day)
    likely = [revision for revision in recorded if may_hold(folder, revision, hashed) is not False]
    if recorded and not likely:
        return None
    look = _Look(lake, day, tx_id)
    raw = {revision: look.holds(RAW, revision) for revision in likely}
    current = look.revision(RAW)
    in_raw = raw[current] if current in raw else look.holds(RAW)
    if recorded and not (in_raw or any(raw.values()) or look.damage):
        return None  # scores hold no id that no raw revision holds
    in_scores = look.holds(SCORED)
    earlier = tuple(revision for revision, held in raw.items() if held and revision != current)
    if in_raw or in_scores or earlier:
        return Place(day, in_raw, in_scores, earlier)
    if look.damage:
        raise look.damage[0]
    return None


class _Look:
    """Looks for an id in partitions of a day, and keeps what kept it from looking."""

    def __init__(self, lake: Lake, day: date, tx_id: str) -> None:
        self._lake, self._day, self._tx_id = lake, day, tx_id
        self.damage: list[CorruptFile | NotSealed] = []

    def revision(self, asset: str) -> str | None:
        """The current revision, as far as there is one that can be read."""
        with suppress(CorruptFile, NotSealed):  # told when it is looked into
            seal = self._lake.find(asset, self._day)
            return seal.revision if seal else None
        return None

    def holds(self, asset: str, revision: str | None = None) -> bool | None:
        """Whether the current revision (or ``revision``) holds the id; None when it cannot be read."""
        role, column = _IDS[asset]
        try:
            seal = self._lake.find(asset, self._day, revision)
            if seal is None:
                return False
            ids = self._lake.read(seal, role, [column]).column(column)
        except (CorruptFile, NotSealed) as error:
            self.damage.append(error)
            return None
        return bool(pc.any(pc.equal(ids, self._tx_id)).as_py())
