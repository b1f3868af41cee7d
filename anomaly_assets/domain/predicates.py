"""Every check as a pure function of the tables on disk: one property, one verdict with its numbers."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.algorithms import IS_ANOMALY, Flag
from anomaly_assets.domain.days import midnight_us
from anomaly_assets.domain.detectors import DETECTORS
from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.domain.id_hashes import hashes, repeated_hashes
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.metrics import any_of, ratio
from anomaly_assets.domain.published import INPUT_NAMES, anomaly_column, model_id_column, status_column
from anomaly_assets.domain.schema import TRANSACTIONS
from anomaly_assets.domain.verdicts import Severity, Verdict

ROWS_AT_ONCE = 262_144
"""Rows whose order is looked at together, so that a large day is not held a second time."""


def schema(kept: pa.Table) -> Verdict:
    """Columns, types, nullability and order of the raw day are those of the schema, and every amount is finite."""
    wanted = TRANSACTIONS.arrow
    problems = [
        f"column {index} is {_field(kept.schema, index)}, expected {_field(wanted, index)}"
        for index in range(max(len(kept.schema), len(wanted)))
        if _field(kept.schema, index) != _field(wanted, index)
    ]
    if not problems:
        problems = [f"{f.name} has {kept.column(f.name).null_count} nulls" for f in wanted if _bad_nulls(kept, f)]
    if not problems:
        problems = list(_bad_values(kept))
    return Verdict("schema", not problems, "; ".join(problems) or f"{kept.num_rows} rows fit the schema", blocking=True)


def unique_transaction_ids(kept: pa.Table) -> Verdict:
    """No transaction id occurs twice within the day."""
    ids = kept.column("tx_id")
    suspects = ids.filter(pa.array(repeated_hashes([hashes(ids)])[0]))
    repeated = len(suspects) - (pc.count_distinct(suspects, mode="all").as_py() if len(suspects) else 0)
    message = f"{repeated} of {kept.num_rows} transaction ids are repeated" if repeated else "every id occurs once"
    return Verdict(
        "unique_transaction_ids",
        repeated == 0,
        message,
        blocking=True,
        numbers={"rows": kept.num_rows, "repeated": repeated},
    )


def ledger_balances(ledger: Mapping[str, int], kept: pa.Table, quarantine: pa.Table, source_rows: int) -> Verdict:
    """Rows in = kept + quarantined + duplicate + erased, with what lies on disk and what the source counted itself."""
    n_in, n_duplicate, n_erased = (int(ledger.get(name, 0)) for name in ("n_in", "n_duplicate", "n_erased"))
    out = kept.num_rows + quarantine.num_rows + n_duplicate + n_erased
    numbers = {
        "rows_in": n_in,
        "source_count": source_rows,
        "kept": kept.num_rows,
        "quarantined": quarantine.num_rows,
        "duplicate": n_duplicate,
        **({"erased": n_erased} if n_erased else {}),
    }
    if n_in != source_rows:
        message = f"the source counted {source_rows} rows but delivered {n_in}; ingest the day again"
    elif n_in != out:
        message = f"{n_in} rows came in but {out} are accounted for"
    else:
        message = f"{n_in} in = {kept.num_rows} kept + {quarantine.num_rows} quarantined + {n_duplicate} duplicate"
        message += f" + {n_erased} of erased wallets" if n_erased else ""
    return Verdict("ledger_balances", n_in == out == source_rows, message, blocking=True, numbers=numbers)


def window_complete(manifest: WindowManifest, max_missing_days: int) -> Verdict:
    """Every day of the window is sealed, or as few are missing as the settings allow."""
    missing, n_days = manifest.missing, len(manifest.days)
    first_missing = [day.isoformat() for day in missing[:10]]
    numbers: JsonObject = {"days": n_days, "missing": len(missing), "first_missing": first_missing}
    if not missing:
        return Verdict("window_complete", True, f"all {n_days} days are sealed", blocking=True, numbers=numbers)
    allowed = len(missing) <= max_missing_days
    named = ", ".join(first_missing) + (", ..." if len(missing) > 10 else "")
    message = f"{len(missing)} of {n_days} days are not sealed ({named}); ingest them, or raise window.max_missing_days"
    severity = Severity.WARN if allowed else Severity.ERROR
    return Verdict("window_complete", False, message, severity, blocking=True, numbers=numbers)


def no_look_ahead(manifest: WindowManifest, window: pa.Table) -> Verdict:
    """Nothing of the scored day or later is in the window, and nothing older than its first day."""
    start, end = midnight_us(manifest.days.first), midnight_us(manifest.day)
    firsts, lasts = (window.column(name).cast(pa.int64()).to_numpy() for name in ("first_at", "last_at"))
    outside = int(np.count_nonzero((lasts >= end) | (firsts < start)))
    days_outside = [day.isoformat() for day in manifest.revisions if day >= manifest.day or day not in manifest.days]
    passed = outside == 0 and not days_outside
    message = (
        f"the window ends before {manifest.day}"
        if passed
        else f"{outside} wallets and days {days_outside} lie outside [{manifest.days.first}, {manifest.day})"
    )
    return Verdict("no_look_ahead", passed, message, blocking=True, numbers={"wallets_outside": outside})


def eligibility(detector: str, window: pa.Table, *, min_wallets: float, min_transactions: float) -> Verdict:
    """Enough wallets, holding enough of the transactions, can have a model of ``detector``."""
    eligible = window.column(f"{detector}_eligible").to_numpy()
    counts = window.column("n_transactions").to_numpy()
    n_wallets, n_rows = len(eligible), int(counts.sum())
    of_wallets, of_rows = ratio(eligible.sum(), n_wallets), ratio(counts[eligible].sum(), n_rows)
    numbers = {
        "wallets": n_wallets,
        "eligible": int(eligible.sum()),
        "share_of_wallets": of_wallets,
        "share_of_transactions": of_rows,
    }
    name = f"{detector}_eligibility"
    if of_wallets is None or of_rows is None:
        return Verdict(name, True, "the window is empty: not applicable", Severity.WARN, numbers=numbers)
    message = (
        f"{int(eligible.sum())} of {n_wallets} wallets ({of_wallets:.1%}) with {of_rows:.1%} of the transactions "
        f"are eligible; floors are {min_wallets:.1%} and {min_transactions:.1%}"
    )
    severity = Severity.WARN if eligible.any() else Severity.ERROR
    passed = of_wallets >= min_wallets and of_rows >= min_transactions
    return Verdict(name, passed, message, severity, numbers=numbers)


def every_eligible_wallet_has_a_model(window: pa.Table, models: pa.Table, detectors: Sequence[str]) -> Verdict:
    """Each eligible wallet has exactly one model of each detector, and there is no other model."""
    problems, numbers = list[str](), dict[str, int]()
    for detector in detectors:
        wanted = set(window.filter(window.column(f"{detector}_eligible")).column("wallet_id").to_pylist())
        of_detector = models.filter(pc.equal(models.column("detector"), detector)).column("wallet_id").to_pylist()
        missing, surplus = len(wanted - set(of_detector)), len(of_detector) - len(wanted & set(of_detector))
        numbers |= {
            f"{detector}_models": len(of_detector),
            f"{detector}_missing": missing,
            f"{detector}_surplus": surplus,
        }
        if missing or surplus:
            problems.append(f"{detector}: {missing} eligible wallets without a model, {surplus} models too many")
    strangers = pc.sum(pc.invert(pc.is_in(models.column("detector"), pa.array(detectors, pa.string())))).as_py() or 0
    if strangers:
        problems.append(f"{strangers} models are of other detectors than {list(detectors)}")
    message = "; ".join(problems) or f"{models.num_rows} models, one for each eligible wallet and detector"
    return Verdict("every_eligible_wallet_has_a_model", not problems, message, blocking=True, numbers=numbers)


def published_models_match(models: pa.Table, served: Mapping[tuple[str, str], str]) -> Verdict:
    """The store serves exactly this day's models.

    ``served`` maps (detector, wallet) to the model id the store serves.
    """
    wanted = {
        (detector, wallet): model_id
        for detector, wallet, model_id in zip(
            *(models.column(name).to_pylist() for name in ("detector", "wallet_id", "model_id")), strict=True
        )
    }
    missing = len(wanted.keys() - served.keys())
    surplus = len(served.keys() - wanted.keys())
    different = sum(served[key] != model_id for key, model_id in wanted.items() if key in served)
    passed = not (missing or surplus or different)
    message = (
        f"all {len(wanted)} models are served"
        if passed
        else f"{missing} models are missing from the store, {surplus} too many, {different} differ; "
        "materialize wallet_models for this day again to fill the store from the archive"
    )
    numbers = {"models": len(wanted), "missing": missing, "surplus": surplus, "different": different}
    return Verdict("published_models_match", passed, message, numbers=numbers)


def every_transaction_judged_once(kept: pa.Table, scored: pa.Table, detectors: Sequence[str]) -> Verdict:
    """The scored rows are the raw day's rows, each once and unchanged, and each says what every detector could say."""
    same = scored.num_rows == kept.num_rows and all(
        kept.column(name).combine_chunks().equals(scored.column(published).combine_chunks())
        for name, published in INPUT_NAMES.items()
    )
    statuses = pa.array([status.value for status in DetectorStatus if status is not DetectorStatus.MODEL_MISSING])
    unknown = sum(
        int(pc.sum(pc.invert(pc.is_in(scored.column(status_column(d)), statuses))).as_py() or 0) for d in detectors
    )
    orphans = sum(_unlike_status(scored, detector) for detector in detectors)
    problems = [
        text
        for wrong, text in (
            (not same, f"{scored.num_rows} scored rows are not the {kept.num_rows} raw rows"),
            (unknown, f"{unknown} statuses are not allowed in a batch"),
            (orphans, f"{orphans} rows have a score, a flag or a model id that does not fit their status"),
        )
        if wrong
    ]
    message = "; ".join(problems) or f"{scored.num_rows} transactions, each judged once"
    return Verdict(
        "every_transaction_judged_once", not problems, message, blocking=True, numbers={"rows": scored.num_rows}
    )


def unified_flag_is_the_or(
    scored: pa.Table, detectors: Sequence[str], flags: Sequence[Flag] = (IS_ANOMALY,)
) -> Verdict:
    """Each published flag is the OR of its detectors' flags, none is null, and they agree with score and reason.

    Rows that a detector of ``is_anomaly`` judged, and no others, have an anomaly score, in [0, 1); those that it flags,
    and no others, exceed 0.5. Rows that some detector flags, and no others, have a reason.
    """
    own = {detector: _true(scored.column(anomaly_column(detector))) for detector in detectors}
    united = {flag: _true(scored.column(flag.column)) for flag in flags}
    names = [*(anomaly_column(detector) for detector in detectors), *(flag.column for flag in flags)]
    unknown = np.logical_or.reduce([pc.is_null(scored.column(name)).to_numpy() for name in names])
    unlike = np.logical_or.reduce(
        [united[flag] != any_of([own[name] for name in flag.of if name in own], scored.num_rows) for flag in flags]
    )
    unified = united[IS_ANOMALY]
    score = scored.column("anomaly_score").fill_null(0.0).to_numpy()
    scoreless = _is_number(scored.column("anomaly_score")) != _judged_by_any(scored, detectors)
    out_of_range = ~((score >= 0.0) & (score < 1.0))
    reason = pc.is_valid(scored.column("reason")).to_numpy()
    contradicts = unlike | (unified != (score > 0.5)) | (any_of(list(own.values()), scored.num_rows) != reason)
    wrong = int(np.count_nonzero(contradicts | unknown | scoreless | out_of_range))
    message = (
        f"{wrong} rows contradict themselves" if wrong else f"{int(unified.sum())} flags are the OR of the detectors"
    )
    return Verdict("unified_flag_is_the_or", wrong == 0, message, blocking=True, numbers={"wrong": wrong})


def coverage_within_bounds(scored: pa.Table, detectors: Sequence[str], *, min_coverage: float) -> Verdict:
    """Enough rows were judged by some detector: not judged is not normal."""
    judged = _judged_by_any(scored, detectors)
    coverage = ratio(judged.sum(), len(judged))
    numbers: JsonObject = {"rows": len(judged), "judged": int(judged.sum()), "coverage": coverage}
    if coverage is None:
        return Verdict("coverage_within_bounds", True, "no rows: not applicable", Severity.WARN, numbers=numbers)
    message = f"{coverage:.1%} of {len(judged)} rows were judged; the floor is {min_coverage:.1%}"
    return Verdict("coverage_within_bounds", coverage >= min_coverage, message, Severity.WARN, numbers=numbers)


def anomaly_rate_within_bounds(scored: pa.Table, detectors: Sequence[str], *, max_rate: float) -> Verdict:
    """Not suspiciously many judged rows are flagged."""
    n_judged = int(_judged_by_any(scored, detectors).sum())
    n_flagged = int(scored.column("is_anomaly").to_numpy().sum())
    rate = ratio(n_flagged, n_judged)
    numbers: JsonObject = {"judged": n_judged, "flagged": n_flagged, "rate": rate}
    if rate is None:
        return Verdict(
            "anomaly_rate_within_bounds", True, "nothing judged: not applicable", Severity.WARN, numbers=numbers
        )
    message = f"{n_flagged} of {n_judged} judged rows are flagged ({rate:.2%}); the ceiling is {max_rate:.2%}"
    return Verdict("anomaly_rate_within_bounds", rate <= max_rate, message, Severity.WARN, numbers=numbers)


def _field(arrow: pa.Schema, index: int) -> str:
    return str(arrow.field(index).remove_metadata()) if index < len(arrow) else "absent"


def _bad_nulls(table: pa.Table, field: pa.Field) -> bool:
    return not field.nullable and table.column(field.name).null_count > 0


def _bad_values(kept: pa.Table) -> Iterator[str]:
    not_finite = kept.num_rows - (pc.sum(pc.is_finite(kept.column("total_amount"))).as_py() or 0)
    if not_finite:
        yield f"{not_finite} amounts are not finite"
    keys = kept.select(("wallet_id", "tx_completed_at", "tx_id"))
    if not all(_is_sorted(keys.slice(start, ROWS_AT_ONCE + 1)) for start in range(0, keys.num_rows, ROWS_AT_ONCE)):
        yield "rows are not sorted by wallet, time and id"


def _is_sorted(keys: pa.Table) -> bool:
    """Of parts that overlap by a row each is sorted exactly when the whole is."""
    return bool(keys.sort_by([(name, "ascending") for name in keys.column_names]).equals(keys))


def _judged(scored: pa.Table, detector: str) -> np.ndarray:
    return _true(pc.equal(scored.column(status_column(detector)), DetectorStatus.JUDGED.value))


def _judged_by_any(scored: pa.Table, detectors: Sequence[str]) -> np.ndarray:
    """Where a detector judged that counts for ``is_anomaly``."""
    return any_of([_judged(scored, detector) for detector in detectors if detector in IS_ANOMALY.of], scored.num_rows)


def _unlike_status(scored: pa.Table, detector: str) -> int:
    """Rows whose score, flag or model id does not fit what their status says."""
    judged = _judged(scored, detector)
    has_model = pc.is_valid(scored.column(model_id_column(detector))).to_numpy()
    has_score = _is_number(scored.column(DETECTORS[detector].score_column))
    flagged = _true(scored.column(anomaly_column(detector)))
    return int(np.count_nonzero((judged != has_model) | (judged != has_score) | (flagged & ~judged)))


def _is_number(column: pa.ChunkedArray) -> np.ndarray:
    return _true(pc.is_finite(column))


def _true(column: pa.ChunkedArray) -> np.ndarray:
    """Where a column of booleans is true, and neither false nor null."""
    result: np.ndarray = column.fill_null(False).to_numpy()
    return result
