"""One wallet: its history, its models day by day, and what they let pass."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachetools import LRUCache

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.model_store import ModelStore
from anomaly_assets.domain.detectors import DETECTORS, in_order
from anomaly_assets.domain.detectors.amount_bands import AmountBand
from anomaly_assets.domain.detectors.base import Ability, Detector, Model
from anomaly_assets.domain.explaining import N_HOURS, intersection
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.published import anomaly_column, status_column
from anomaly_assets.domain.scored_row import ScoresBy
from anomaly_assets.evidence.case import archived_models
from anomaly_assets.steps.window import manifest_of
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.of_wallet import WalletReader

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
KEPT_BANDS = 50_000
"""Of one model at one hour; a hundred bytes and more each."""
_BANDS: LRUCache[tuple[str, int, str], list[AmountBand]] = LRUCache(KEPT_BANDS)
_BANDS_LOCK = threading.Lock()
READ_AT_ONCE = 16
"""Days of windows that are read before looking whether more are needed."""
_INPUT = ("TX_ID", "WALLET_ID", "TX_COMPLETED_AT", "TOTAL_AMOUNT", "ORG_NAME")


def wallets_matching(home: Home, text: str, count: int) -> list[tuple[str, int]]:
    """Wallets of the newest training window whose id holds ``text``, in any case, with their transactions in it.

    Those with most transactions first, ``count`` at most. Raises ``CorruptFile``.
    """
    days = home.lake.days(WINDOW)
    if not days:
        return []
    table = home.lake.read(home.lake.require(WINDOW, days[-1]), "wallets", ["wallet_id", "n_transactions"])
    if text:
        table = table.filter(pc.match_substring(table.column("wallet_id"), text, ignore_case=True))
    order = [("n_transactions", "descending"), ("wallet_id", "ascending")]
    rows = table.sort_by(order).slice(0, count).to_pylist()
    return [(row["wallet_id"], row["n_transactions"]) for row in rows]


def scored_rows(reader: WalletReader, detectors: Sequence[ScoresBy], wallet: str, days: Sequence[date]) -> pa.Table:
    """Published rows of the wallet on scored days, by these detectors, without model ids, with a column ``day``."""
    columns = [
        *_INPUT,
        *(each.score_column for each in detectors),
        *(anomaly_column(each.name) for each in detectors),
        *(status_column(each.name) for each in detectors),
        "is_anomaly",
        "anomaly_score",
        "reason",
    ]
    return reader.rows(SCORED, "scored", wallet, days, columns=columns, wallet_column="WALLET_ID")


def points(reader: WalletReader, wallet: str, days: Sequence[date]) -> pa.Table:
    """When and how much on scored days: ``day, TX_COMPLETED_AT, TOTAL_AMOUNT, is_anomaly``, as of ``scored_rows``."""
    columns = ("TX_COMPLETED_AT", "TOTAL_AMOUNT", "is_anomaly")
    return reader.rows(SCORED, "scored", wallet, days, columns=columns, wallet_column="WALLET_ID")


def tx_id_at(reader: WalletReader, wallet: str, day: date, place: int) -> str:
    """Id of the transaction at a ``place`` among the wallet's rows of a day."""
    found = reader.rows(SCORED, "scored", wallet, [day], columns=("TX_ID",), wallet_column="WALLET_ID")
    return str(found.column("TX_ID")[place].as_py())


def flagged_rows(digests: Digests, wallet: str, days: Sequence[date]) -> pa.Table:
    """The wallet's published rows with ``is_anomaly``, without model ids, with a column ``day``."""
    flags = digests.read("flags", days)
    return flags.filter(pc.and_(pc.equal(flags.column("WALLET_ID"), wallet), flags.column("is_anomaly")))


def windows(reader: WalletReader, wallet: str, days: Sequence[date]) -> pa.Table:
    """The wallet's row of ``training_window`` of each day that has one: counts, amounts, and who could judge it."""
    names = reader.column_names(WINDOW, "wallets", days)
    columns = [name for name in names if name not in {"wallet_id", "rows_digest"}]
    return reader.rows(WINDOW, "wallets", wallet, days, columns=columns)


def eligible_since(reader: WalletReader, wallet: str, detectors: Sequence[str]) -> dict[str, date | None]:
    """First day of the home's windows in which the wallet's history sufficed, by detector; None: in none."""
    days, since = reader.home.lake.days(WINDOW), dict[str, date | None].fromkeys(detectors)
    columns = [_eligible_column(name) for name in detectors]
    for start in range(0, len(days), READ_AT_ONCE):  # most wallets are old: their first days tell
        part = reader.rows(WINDOW, "wallets", wallet, days[start : start + READ_AT_ONCE], columns=columns)
        since = {name: since[name] or day for name, day in first_eligible(part, detectors).items()}
        if None not in since.values():
            break
    return since


def first_eligible(windows: pa.Table, detectors: Sequence[str]) -> dict[str, date | None]:
    """First day of these windows whose history sufficed, by detector; None: none did."""
    first: dict[str, date | None] = {}
    for name in detectors:
        column = _eligible_column(name)
        known = column in windows.column_names and windows.num_rows > 0
        days = windows.filter(windows.column(column)).column("day").to_pylist() if known else []
        first[name] = min(days, default=None)
    return first


def judged_before(reader: WalletReader, detector: str, day: date) -> bool:
    """Whether the list of the trained day before ``day`` has the detector, so that its window says who was eligible."""
    before = [each for each in reader.home.lake.days(WINDOW) if each < day][-1:]
    return _eligible_column(detector) in reader.column_names(WINDOW, "wallets", before)


def _eligible_column(detector: str) -> str:
    return f"{detector}_eligible"


@dataclass(frozen=True, eq=False)
class ModelOfDay:
    """A model of the wallet as ``wallet_models`` lists it: ids, history, size in bytes, numbers by name."""

    day: date
    detector: str
    model_id: str
    n_transactions: int
    n_bytes: int
    numbers: Mapping[str, float]


def models(reader: WalletReader, wallet: str, days: Sequence[date]) -> list[ModelOfDay]:
    """The wallet's models of these days, by day, detectors in their order."""
    columns = ("detector", "model_id", "n_transactions", "n_bytes", "summary")
    rows = reader.rows(MODELS, "models", wallet, days, columns=columns).to_pylist()
    found = [ModelOfDay(**{key: row[key] for key in row if key != "summary"}, numbers=_numbers(row)) for row in rows]
    order = in_order(each.detector for each in found)
    return sorted(found, key=lambda each: (each.day, order.index(each.detector)))


def payloads(home: Home, listed: Sequence[ModelOfDay]) -> Mapping[str, Model]:
    """Genuine models by id, of those that are listed and archived still. Raises ``CorruptFile`` for a forged one."""
    wanted: dict[date, set[str]] = {}
    for each in listed:
        wanted.setdefault(each.day, set()).add(each.model_id)
    return archived_models(home, wanted)[0]


@dataclass(frozen=True)
class NormalOfDay:
    """What detectors let pass on a day at one hour.

    Parameters
    ----------
    bands : amounts that no detector flags which has a model and says bands; None when such a model is not kept any more
    by_detector : those of each whose model is kept
    """

    day: date
    bands: list[AmountBand] | None
    by_detector: Mapping[str, list[AmountBand]]


def normal_over_time(
    home: Home, listed: Sequence[ModelOfDay], detectors_of: Callable[[date], Sequence[Detector]], hour: int
) -> list[NormalOfDay]:
    """Per day with models, the amounts that are not flagged at a UTC ``hour``.

    ``detectors_of`` gives the detectors of a day with the settings that decided then; of one that is not among them
    nothing is known. Raises ``CorruptFile`` for an archived model that is forged.
    """
    of = {day: {each.name: each for each in detectors_of(day)} for day in {each.day for each in listed}}
    unknown = {each.day: each.detector for each in listed if each.detector not in of[each.day]}
    listed = [each for each in listed if each.detector in of[each.day]]
    listed = [each for each in listed if Ability.BANDS in of[each.day][each.detector].abilities]
    named = {each: _named(each) for found in of.values() for each in found.values()}
    keys = [(each.model_id, hour, named[of[each.day][each.detector]]) for each in listed]
    with _BANDS_LOCK:  # models of many days are looked at again and again
        bands = {key: _BANDS[key] for key in set(keys) if key in _BANDS}
    known = payloads(home, [each for each, key in zip(listed, keys, strict=True) if key not in bands])
    days: dict[date, dict[str, list[AmountBand] | None]] = {day: {name: None} for day, name in unknown.items()}
    for each, key in zip(listed, keys, strict=True):
        if key not in bands and each.model_id in known:
            bands[key] = of[each.day][each.detector].normal_amounts(known[each.model_id], hour=hour)
        days.setdefault(each.day, {})[each.detector] = bands.get(key)
    with _BANDS_LOCK:
        _BANDS.update(bands)
    return [_normal_of_day(day, found) for day, found in days.items()]


def _normal_of_day(day: date, found: Mapping[str, list[AmountBand] | None]) -> NormalOfDay:
    kept = {name: bands for name, bands in found.items() if bands is not None}
    return NormalOfDay(day, intersection(list(kept.values())) if len(kept) == len(found) else None, kept)


def _named(detector: Detector) -> str:
    """The detector with its settings, which decide what is flagged."""
    return repr(sorted(vars(detector).items()))


def normal_map(
    known: Mapping[str, Model], listed: Sequence[ModelOfDay], detectors: Sequence[Detector]
) -> dict[str, list[list[AmountBand]]]:
    """By detector, for hours 0..23, the amounts its model does not flag.

    Nothing of detectors without a kept model, and of those that do not say bands.
    """
    of = {detector.name: detector for detector in detectors if Ability.BANDS in detector.abilities}
    return {
        each.detector: [of[each.detector].normal_amounts(known[each.model_id], hour=hour) for hour in range(N_HOURS)]
        for each in listed
        if each.model_id in known and each.detector in of
    }


def window_points(reader: WalletReader, wallet: str, day: date) -> tuple[np.ndarray, np.ndarray]:
    """Time of day (hours, float64, 0 to 24) and amount of each transaction behind the wallet's models of ``day``.

    Of the raw days as they are now; ``verify`` reads the pinned ones.
    """
    seal = reader.home.lake.find(WINDOW, day)
    days = [] if seal is None else [pinned for pinned, _ in manifest_of(seal).present]
    rows = reader.rows(RAW, "transactions", wallet, days, columns=("tx_completed_at", "total_amount"))
    if not rows.num_rows:
        return np.empty(0), np.empty(0)
    moments = rows.column("tx_completed_at").cast(pa.int64()).to_numpy()
    return hours_of_day(moments), rows.column("total_amount").to_numpy()


def hours_of_day(moments_us: np.ndarray) -> np.ndarray:
    """UTC time of day, hours from 0 to 24 (float64), of moments in microseconds since 1970 (int64)."""
    hours: np.ndarray = moments_us % DAY_US / HOUR_US
    return hours


@dataclass(frozen=True)
class ServedModel:
    """A model that the store serves now; ``n_bytes`` of its payload."""

    detector: str
    model_id: str
    recipe_id: str
    as_of: date
    generation: int
    n_bytes: int


def served(store: ModelStore, wallet: str) -> list[ServedModel]:
    """What readers of the store get for the wallet now, of any detector; nothing while a publication is being written.

    Raises ``StoreUnavailable``, ``HomeMismatch``.
    """
    published = store.published()
    if published is None:
        return []
    keys = [(detector, wallet) for detector in DETECTORS]
    found = store.read(keys, as_of=published.as_of, generation=published.generation) or {}
    return [
        ServedModel(
            key.model_type, each.model_id, each.recipe_id, published.as_of, published.generation, len(each.payload)
        )
        for key, each in found.items()
    ]


def difference(reader: WalletReader, wallet: str, first: date, last: date) -> pa.Table:
    """What differs in the wallet's models and window between two days: ``what, <first>, <last>``, as text."""
    told: list[dict[str, str]] = []
    sides = [_facts(reader, wallet, day) for day in (first, last)]
    for what in dict.fromkeys([*sides[0], *sides[1]]):
        values = [side.get(what, "-") for side in sides]
        told.append(
            {
                "what": what,
                str(first): values[0],
                str(last): values[1],
                "differs": "yes" if len(set(values)) > 1 else "",
            }
        )
    names = ["what", str(first), str(last), "differs"]
    return pa.table({name: pa.array([row[name] for row in told], pa.string()) for name in names})


def _facts(reader: WalletReader, wallet: str, day: date) -> dict[str, str]:
    facts: dict[str, str] = {}
    for row in windows(reader, wallet, [day]).drop_columns(["day"]).to_pylist():
        facts |= {
            f"window: {name.replace('_', ' ')}": _shown(value) for name, value in row.items() if value is not None
        }
    for each in models(reader, wallet, [day]):
        facts |= {
            f"{each.detector}: model": each.model_id[:16],
            f"{each.detector}: bytes": f"{each.n_bytes:,}",
            **{f"{each.detector}: {name.replace('_', ' ')}": f"{value:,.6g}" for name, value in each.numbers.items()},
        }
    return facts


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    numbers: dict[str, float] = json.loads(row["summary"])
    return numbers
