"""What other settings would have flagged on scored days: judged and fitted in memory, nothing stored or published."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.parquet_bytes import table_from_bytes
from anomaly_assets.domain.algorithms import ALGORITHMS
from anomaly_assets.domain.artifacts import given_window
from anomaly_assets.domain.detectors.base import Detector, DetectorStatus
from anomaly_assets.domain.errors import CorruptFile, SettingsError
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.judging import JudgedShard, ModelBatch, ModelIds, Source, judge_day
from anomaly_assets.domain.metrics import ratio
from anomaly_assets.domain.published import anomaly_column, status_column
from anomaly_assets.domain.raw_day import to_wallet_rows
from anomaly_assets.domain.training import COST_OF_A_MODEL, SHARD_COST, balanced
from anomaly_assets.domain.verdict import DetectorVerdict
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.evidence.again import listed_ids, require_genuine, sources_of
from anomaly_assets.evidence.case import Case
from anomaly_assets.settings import Detection
from anomaly_assets.settings.reading import put
from anomaly_assets.settings.section import keys_of

SHOWN = {
    "TX_ID": "tx_id",
    "WALLET_ID": "wallet_id",
    "TX_COMPLETED_AT": "tx_completed_at",
    "TOTAL_AMOUNT": "total_amount",
    "ORG_NAME": "org_name",
}
"""What is told of a transaction: published column to its name."""


@dataclass(frozen=True)
class Counts:
    """Rows of a group under the settings of then and of now.

    Parameters
    ----------
    rows : all rows
    judged_then, judged_now : rows that some detector judged
    flagged_then, flagged_now : rows that some detector flagged
    added, removed : rows flagged only now, and only then
    planted : rows that the synthetic truth calls anomalous; None where there is no truth
    found_then, found_now : planted rows that are flagged
    """

    rows: int = 0
    judged_then: int = 0
    judged_now: int = 0
    flagged_then: int = 0
    flagged_now: int = 0
    added: int = 0
    removed: int = 0
    planted: int | None = 0
    found_then: int | None = 0
    found_now: int | None = 0

    def __add__(self, other: "Counts") -> "Counts":
        pairs = [(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        sums: list[Any] = [None if None in pair else sum(pair) for pair in pairs]
        return Counts(*sums)

    def as_json(self) -> JsonObject:
        """Counts, and recall and precision over all rows, judged or not; null without truth and for 0/0."""
        rates: dict[str, float | None] = {}
        for when in ("then", "now"):
            found, flagged = getattr(self, f"found_{when}"), getattr(self, f"flagged_{when}")
            rates[f"recall_{when}"] = None if found is None else ratio(found, self.planted or 0)
            rates[f"precision_{when}"] = None if found is None else ratio(found, flagged)
        return {**{field.name: getattr(self, field.name) for field in fields(self)}, **rates}


@dataclass(frozen=True)
class ChangedFlag:
    """A transaction whose flag differs, and why it is flagged, or was."""

    day: date
    tx_id: str
    wallet_id: str
    tx_completed_at: datetime
    total_amount: float
    org_name: str | None
    reason: str | None

    def as_json(self) -> JsonObject:
        """JSON form; times are ISO 8601."""
        return {**vars(self), "day": self.day.isoformat(), "tx_completed_at": self.tx_completed_at.isoformat()}


@dataclass(frozen=True)
class ComparedDay:
    """One day: counts per organisation (None: rows without one), and the transactions whose flag differs."""

    day: date
    by_organisation: Mapping[str | None, Counts]
    added: Sequence[ChangedFlag]
    removed: Sequence[ChangedFlag]


def other_settings(detection: Detection, changes: Mapping[str, str]) -> Detection:
    """``detection`` with other settings of its detectors (dotted key to value).

    Raises ``SettingsError`` for a key that is none of them, or a value that is not allowed.
    """
    _require_comparable(changes, detection.sections)
    values = detection.model_dump()
    for key, value in changes.items():
        put(values, key.split("."), value)
    return Detection.of(values)


def changed_settings(case: Case, other: Detection) -> dict[str, tuple[Any, Any]]:
    """Settings that ``other`` has otherwise than the day was scored with, by dotted key: then and now.

    None stands for those of a detector that does not judge.
    """
    published = Detection.of_record(case.settings)
    keys = dict.fromkeys(key for detection in (published, other) for key, _ in keys_of(type(detection)))
    values = {key: (_value(published, key), _value(other, key)) for key in keys}
    return {key: (then, now) for key, (then, now) in values.items() if then != now}


def _value(detection: Detection, key: str) -> Any:
    part: Any = detection
    for name in key.split("."):
        part = getattr(part, name, None)
    return part


def _require_comparable(keys: Iterable[str], detectors: Collection[str]) -> None:
    """Raise ``SettingsError`` for a key that is no setting of one of these detectors."""
    for key in keys:
        section, *rest = key.split(".")
        if section not in detectors or not rest:
            remedy = "amounts.scale and window.days belong to the home: score the period in another --home for those"
            if section in ALGORITHMS and rest:
                remedy = f"choose days that {section} judged, and settings whose detectors list it"
            raise SettingsError(
                f"{key} cannot be compared",
                expected=f"a setting of a detector: {', '.join(f'{name}.*' for name in detectors)}",
                remedy=remedy,
            )


def compare_day(home: Home, day: date, changes: Mapping[str, str], *, compute: Compute | None = None) -> ComparedDay:
    """The day's published flags against those that the day's own settings with ``changes`` give.

    Detectors whose fit settings stay judge with the day's own models; others are fitted on the pinned window of the
    day's wallets. Raises ``NotSealed``, ``CorruptFile`` and ``SettingsError``.
    """
    case = Case.of(home, day, compute=compute)
    return compare_case(case, other_settings(Detection.of_record(case.settings), changes))


def compare_case(case: Case, other: Detection) -> ComparedDay:
    """The same against all settings of ``other``, whose amount scale and window must be those of the day.

    A detector that only one of the two lists judges in that one alone.
    """
    before, after = case.detectors, other.detectors()
    _require_comparable(changed_settings(case, other), dict.fromkeys(each.name for each in (*before, *after)))
    home, day, published = case.home, case.day, case.published
    kept = home.lake.read(case.raw, "transactions")
    rows = to_wallet_rows(kept)
    if not published.column("TX_ID").equals(kept.column("tx_id")):
        raise CorruptFile(
            f"the scores of {day} are of other transactions than its raw day", remedy=f"verify {day}, then run it again"
        )
    then, now = _unified(published, before, {}), _unified(published, after, _verdicts(case, other, rows))
    return ComparedDay(
        day,
        _counted(published.column("ORG_NAME"), then, now, _planted(home, day, published)),
        _told(day, published, np.flatnonzero(now.flagged & ~then.flagged), now.reasons),
        _told(day, published, np.flatnonzero(then.flagged & ~now.flagged), published.column("reason").to_pylist()),
    )


@dataclass(frozen=True)
class _Flags:
    """What all detectors together say of each row: bool arrays of shape (n_rows,), and why."""

    judged: np.ndarray
    flagged: np.ndarray
    reasons: Sequence[str | None]


def _unified(published: pa.Table, detectors: Sequence[Detector], judged_again: Mapping[str, DetectorVerdict]) -> _Flags:
    """Published verdicts, but those of ``judged_again`` (by detector) where it has one."""
    judged, flagged = np.zeros(published.num_rows, np.bool_), np.zeros(published.num_rows, np.bool_)
    reasons: list[list[str]] = [[] for _ in range(published.num_rows)]
    for detector in detectors:
        verdict = judged_again.get(detector.name)
        if verdict is None:
            judged |= pc.equal(published.column(status_column(detector.name)), DetectorStatus.JUDGED.value).to_numpy()
            flagged |= published.column(anomaly_column(detector.name)).to_numpy()
        else:
            judged |= verdict.judgement.judged
            flagged |= verdict.judgement.is_anomaly
            for row, sentence in verdict.reasons.items():
                reasons[row].append(sentence)
    return _Flags(judged, flagged, ["; ".join(sentences) or None for sentences in reasons])


def _verdicts(case: Case, other: Detection, rows: WalletRows) -> Mapping[str, DetectorVerdict]:
    """Verdicts of the detectors whose settings differ; models of some wallets are in memory at a time.

    A detector that did not judge the day is fitted, like one whose models differ.
    """
    own = {old.name: old for old in case.detectors}
    recorded = {record.name: record for record in case.settings.detectors}
    kept, refitted = list[Detector](), list[Detector]()
    for new, record in zip(other.detectors(), other.record.detectors, strict=True):
        old = own.get(new.name)
        if recorded.get(new.name) == record:
            continue
        if old is not None and old.of_day is not None and old.fit_parameters == new.fit_parameters:
            kept.append(new.given(old.of_day))
        else:
            refitted.append(given_window(new, case.window_rows(None)[0], case.day))
    changed = [*kept, *refitted]
    sources: list[Source] = [partial(_fitted, case, refitted, rows)] if refitted else []
    model_ids: ModelIds = {}
    if kept:
        sources, model_ids = [*sources_of(case, kept, rows), *sources], listed_ids(case, kept, rows)

    def look_at(part: JudgedShard) -> None:
        require_genuine(case, model_ids, part)

    before, engine = case.running_state(changed, rows.wallet_ids, or_current=True), case.compute.engine
    return judge_day(changed, rows, model_ids, sources, before=before, engine=engine, look_at=look_at).verdicts


def _fitted(case: Case, detectors: Sequence[Detector], rows: WalletRows, _: ModelIds) -> Iterator[ModelBatch]:
    """A model of every wallet of ``rows`` that is eligible under a detector's settings, whatever the day lists."""
    window = case.window_rows(rows.wallet_ids)[0]
    place = {wallet: index for index, wallet in enumerate(rows.wallet_ids)}
    for detector in detectors:
        statuses = detector.eligibility(window)
        eligible = [wallet for wallet, status in enumerate(statuses) if status is DetectorStatus.JUDGED]
        costs = [COST_OF_A_MODEL + int(window.counts[wallet]) for wallet in eligible]
        shards = [[eligible[item] for item in shard] for shard in balanced(costs, shard_cost=SHARD_COST)]
        fitted = case.compute.engine.map_work(partial(detector.fit, window), shards)
        for shard, models in zip(shards, fitted, strict=True):
            yield ModelBatch(detector, [place[window.wallet_ids[wallet]] for wallet in shard], models)


def _planted(home: Home, day: date, published: pa.Table) -> np.ndarray | None:
    """Where the published rows are planted anomalies; None for a home without truth of that day."""
    path = home.truth / f"planted_anomalies_{day:%Y%m%d}.parquet"
    try:
        truth = table_from_bytes(path.read_bytes(), ["tx_id"])
    except FileNotFoundError:
        return None
    except (pa.ArrowException, ValueError) as error:
        raise CorruptFile(f"{path.name} is not readable: {error}", remedy=f"ingest {day} again") from None
    planted: np.ndarray = pc.is_in(published.column("TX_ID"), truth.column("tx_id").combine_chunks()).to_numpy()
    return planted


def _counted(
    organisations: pa.ChunkedArray, then: _Flags, now: _Flags, planted: np.ndarray | None
) -> dict[str | None, Counts]:
    codes = organisations.combine_chunks().dictionary_encode(null_encoding="encode")
    indices, names = codes.indices.to_numpy(), codes.dictionary.to_pylist()
    return {name: _counts(indices == code, then, now, planted) for code, name in enumerate(names)}


def _counts(group: np.ndarray, then: _Flags, now: _Flags, planted: np.ndarray | None) -> Counts:
    def count(*conditions: np.ndarray) -> int:
        return int(np.count_nonzero(np.logical_and.reduce([group, *conditions])))

    return Counts(
        count(),
        count(then.judged),
        count(now.judged),
        count(then.flagged),
        count(now.flagged),
        count(now.flagged, ~then.flagged),
        count(then.flagged, ~now.flagged),
        *(
            [None] * 3
            if planted is None
            else [count(planted), count(planted, then.flagged), count(planted, now.flagged)]
        ),
    )


def _told(day: date, published: pa.Table, places: np.ndarray, reasons: Sequence[str | None]) -> list[ChangedFlag]:
    chosen = published.select(list(SHOWN)).rename_columns(list(SHOWN.values())).take(pa.array(places, pa.int64()))
    rows = zip(chosen.to_pylist(), places.tolist(), strict=True)
    return [ChangedFlag(day, reason=reasons[place], **row) for row, place in rows]


@dataclass(frozen=True)
class Comparison:
    """Several compared days together.

    Parameters
    ----------
    days : those that were compared
    left_out : those that a detector whose settings are changed did not judge
    """

    days: Sequence[ComparedDay]
    left_out: Sequence[date] = ()

    @property
    def by_organisation(self) -> dict[str | None, Counts]:
        """Counts per organisation, by name, rows without one last."""
        names = {name for day in self.days for name in day.by_organisation}
        return {
            name: sum((day.by_organisation.get(name, Counts()) for day in self.days), start=Counts())
            for name in sorted(names, key=lambda name: (name is None, name))
        }

    @property
    def total(self) -> Counts:
        """Counts of all rows."""
        return sum(self.by_organisation.values(), start=Counts())

    def changed(self, how: str) -> Iterator[ChangedFlag]:
        """Transactions ``added`` or ``removed``."""
        return (flag for day in self.days for flag in getattr(day, how))

    def as_json(self) -> JsonObject:
        """JSON form."""
        return {
            "days": [day.day.isoformat() for day in self.days],
            **({"days_left_out": [day.isoformat() for day in self.left_out]} if self.left_out else {}),
            "total": self.total.as_json(),
            "by_organisation": [
                {"org_name": name, **counts.as_json()} for name, counts in self.by_organisation.items()
            ],
            **{how: [flag.as_json() for flag in self.changed(how)] for how in ("added", "removed")},
        }


def compare_days(
    home: Home, days: Iterable[date], changes: Mapping[str, str], *, compute: Compute | None = None
) -> Comparison:
    """Several days as :func:`compare_day` does; those that a detector with ``changes`` did not judge are left out.

    Raises the same, and ``SettingsError`` when all are.
    """
    changed = {key.partition(".")[0] for key in changes}
    compared, left_out = list[ComparedDay](), list[date]()
    for day in days:
        case = Case.of(home, day, compute=compute)
        if changed.issubset(detector.name for detector in case.settings.detectors):
            compared.append(compare_case(case, other_settings(Detection.of_record(case.settings), changes)))
        else:
            left_out.append(day)
    if left_out and not compared:
        compare_day(home, left_out[-1], changes)  # says why not
    return Comparison(compared, left_out)
