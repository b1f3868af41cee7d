"""The home's source lies elsewhere: shown by a sample of sealed days that is read there, and written down."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.home import Standing
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.sources.base import TransactionSource
from anomaly_assets.domain.border import BorderRules, clean_delivery
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import HomeMismatch, NeedsRelease
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.domain.raw_day import content_digest
from anomaly_assets.domain.source_identity import place_of
from anomaly_assets.steps.run import Run

SAMPLE_DAYS = 7
"""Sealed days that are read at the new place: the first, the last, and others spread between."""
_REMEDY = (
    "correct the settings, or use another home; rows that were corrected since are ingested where the source was, "
    "before it is moved"
)


@dataclass(frozen=True)
class Moved:
    """What became of a move.

    Parameters
    ----------
    place : where the source is now, by the keys of its identity
    changed : whether anything was written; a source that is already taken there is not read
    n_sealed : how many days are sealed
    same : days that were read there and are exactly as sealed
    gained : days that were read there and have everything that is sealed, and rows that arrived since
    head : head of the publication log
    """

    place: JsonObject
    changed: bool
    n_sealed: int
    same: tuple[date, ...]
    gained: tuple[date, ...]
    head: str


def move_source(run: Run, source: TransactionSource, first_day: date, *, n_days: int = SAMPLE_DAYS) -> Moved:
    """Take the source of the home where it lies now, when the sealed days that are read there are the same.

    Rows that arrived since are no difference, as long as most days that are read are exactly as they were sealed: a
    source that holds more on every day is another one. Days that the source has forgotten at its beginning are not
    read. Seals go on naming the source by the identity it had when the home was made.

    Parameters
    ----------
    n_days : most days to read, two at least

    Raises ``HomeMismatch`` when anything but the place differs, and at the first day that is not as it was sealed.
    """
    home, identity = run.home, source.identity
    standing = home.standing(identity, first_day)
    if home.record() is None or standing is Standing.OTHER:  # a home that is not one yet says so itself
        raise home.mismatch(identity, first_day)
    place, sealed = place_of(identity), home.lake.days(RAW)
    if standing is Standing.SAME:
        return Moved(place, False, len(sealed), (), (), home.log.head())
    same, gained = _compare(run, source, sealed, n_days)
    head = home.move_source(identity, days=[*same, *gained], run_id=run.run_id, at=run.now())
    run.say(f"the source of the home is at {_named(place)} now: {len(same) + len(gained)} sealed days are the same")
    return Moved(place, True, len(sealed), same, gained, head)


def spread(days: Sequence[date], count: int) -> list[date]:
    """At most ``count`` of ``days``, two at least: the first, the last, and others evenly between."""
    if len(days) <= count:
        return list(days)
    return [days[round(at * (len(days) - 1) / (count - 1))] for at in range(count)]


def _compare(
    run: Run, source: TransactionSource, sealed: Sequence[date], n_days: int
) -> tuple[tuple[date, ...], tuple[date, ...]]:
    place = _named(place_of(source.identity))
    first = source.coverage().first
    there = [day for day in sealed if day >= first]
    if sealed and not there:
        raise HomeMismatch(
            f"what is at {place} begins on {first}",
            expected=f"days that are sealed in the home, {sealed[0]} to {sealed[-1]}",
            remedy=_REMEDY,
        )
    same: list[date] = []
    gained: list[date] = []
    for day in spread(there, n_days):
        run.say(f"reading {day} at {place}")
        (same if _is_same(run, source, run.home.lake.require(RAW, day), place) else gained).append(day)
    if len(gained) >= max(len(same), 1):
        raise HomeMismatch(
            f"{len(gained)} of the {len(same) + len(gained)} days that were read at {place} have more rows than are "
            f"sealed, {gained[0]} the first",
            expected="most days exactly as they are sealed",
            remedy=_REMEDY,
        )
    return tuple(same), tuple(gained)


def _is_same(run: Run, source: TransactionSource, seal: Seal, place: str) -> bool:
    """Whether the day is exactly as sealed; False when it only gained rows. Raises ``HomeMismatch`` otherwise."""
    lake, day = run.home.lake, seal.day
    clean = clean_delivery(source.batches(DayRange.of(day)), day, _rules_of(seal), erased=run.home.erasures.among)
    kept, quarantine = lake.read(seal, "transactions"), lake.read(seal, "quarantine")
    still = clean.kept.filter(pc.is_in(clean.kept.column("tx_id"), kept.column("tx_id").combine_chunks()))
    if missing := kept.num_rows - still.num_rows:
        raise _differs(day, place, f"{missing:,} of {kept.num_rows:,} rows are not there")
    if content_digest(still) != content_digest(kept):
        raise _differs(day, place, "rows with the same ids have other values")
    if refused := (_counted(quarantine) - _counted(clean.quarantine)).total():
        raise _differs(day, place, f"{refused:,} of {quarantine.num_rows:,} quarantined rows are not there")
    more = clean.kept.num_rows > kept.num_rows or clean.quarantine.num_rows > quarantine.num_rows
    if lake.erased(RAW, day).remainders:  # how often the source delivers rows of an erased wallet is not known any more
        return not more
    n_sealed, n_now = seal.inputs["source_rows"], clean.ledger.n_in
    if n_now < n_sealed:
        raise _differs(day, place, f"{n_now:,} rows are delivered, {n_sealed:,} were, repeated ones among them")
    return not more and n_now == n_sealed


def _counted(rows: pa.Table) -> Counter[tuple[str | None, ...]]:
    return Counter(tuple(row.values()) for row in rows.to_pylist())


def _rules_of(seal: Seal) -> BorderRules:
    """The border rules a day was sealed by: later ones would refuse other rows of the same source."""
    recorded = seal.inputs["rules"]
    if unknown := recorded.keys() - {each.name for each in fields(BorderRules)}:
        raise NeedsRelease(
            f"{seal.asset} of {seal.day} was sealed by border rules that are not known here: {sorted(unknown)}",
            remedy="use the release that wrote it, or a newer one",
        )
    return BorderRules(**recorded)


def _named(place: JsonObject) -> str:
    return ", ".join(str(value) for value in place.values())


def _differs(day: date, place: str, what: str) -> HomeMismatch:
    return HomeMismatch(f"{day} at {place} is not the day that is sealed: {what}", remedy=_REMEDY)
