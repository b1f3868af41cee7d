"""Pinned constants of checks: what each of them says when it passes and when it fails."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from anomaly_assets.domain import predicates
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.schema import QUARANTINE, TIME
from anomaly_assets.domain.verdicts import Verdict
from compat.pinned_inputs import DAY, MIDNIGHT, kept

DETECTORS = ["statistical", "isolation_forest"]
INPUTS = {"TX_ID": "tx_id", "WALLET_ID": "wallet_id", "TX_COMPLETED_AT": "tx_completed_at"} | {
    "TOTAL_AMOUNT": "total_amount",
    "ORG_NAME": "org_name",
}


def checks() -> dict[str, Any]:
    """Every check of staged and published tables, with its severity, whether it blocks, and its numbers."""
    groups = {
        "schema": _schema(),
        "unique_transaction_ids": _unique(),
        "ledger_balances": _ledgers(),
        "window_complete": _windows_complete(),
        "no_look_ahead": _looks(),
        "eligibility": _eligibilities(),
        "every_eligible_wallet_has_a_model": _have_models(),
        "published_models_match": _served(),
        "every_transaction_judged_once": _judged(),
        "unified_flag_is_the_or": _unified(),
        "coverage_within_bounds": _coverages(),
        "anomaly_rate_within_bounds": _rates(),
    }
    return {
        f"{name}, {case}": {"check": verdict.check, **verdict.as_json(), "message": _plain(verdict.message)}
        for name, cases in groups.items()
        for case, verdict in cases.items()
    }


def _plain(message: str) -> str:
    """The message without the way in which a library shows a column."""
    return re.sub(r"pyarrow\.Field<([^>]*)>", r"\1", message)


def changed(table: pa.Table, row: int, **values: Any) -> pa.Table:
    """``table`` with single values of one row replaced."""
    for name, value in values.items():
        column = table.column(name).to_pylist()
        column[row] = value
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.field(name), pa.chunked_array([pa.array(column, table.field(name).type)]))
    return table


def _schema() -> dict[str, Verdict]:
    table = kept()
    narrow = table.set_column(
        3, pa.field("total_amount", pa.float32(), nullable=False), table.column(3).cast("float32")
    )
    return {
        "good": predicates.schema(table),
        "no rows": predicates.schema(table.slice(0, 0)),
        "a column too few": predicates.schema(table.drop_columns(["org_name"])),
        "a column too many": predicates.schema(table.append_column("x", table.column("tx_id"))),
        "another type": predicates.schema(narrow),
        "a null": predicates.schema(changed(table, 1, wallet_id=None)),
        "not finite": predicates.schema(changed(table, 1, total_amount=float("nan"))),
        "out of order": predicates.schema(table.take(pa.array([3, 4, 0, 1, 2]))),
    }


def _unique() -> dict[str, Verdict]:
    return {
        "good": predicates.unique_transaction_ids(kept()),
        "repeated": predicates.unique_transaction_ids(changed(kept(), 4, tx_id="t-1")),
    }


def _ledgers() -> dict[str, Verdict]:
    quarantine = pa.Table.from_pylist([{"reason": "negative_amount"}] * 2, schema=QUARANTINE.arrow)

    def ledger(source_rows: int, **counts: int) -> Verdict:
        return predicates.ledger_balances(counts, kept(), quarantine, source_rows)

    return {
        "good": ledger(10, n_in=10, n_duplicate=3),
        "erased": ledger(12, n_in=12, n_duplicate=3, n_erased=2),
        "the source counted others": ledger(11, n_in=10, n_duplicate=3),
        "does not balance": ledger(10, n_in=10, n_duplicate=2),
    }


def _manifest(missing: int = 0) -> WindowManifest:
    days = DayRange(DAY - timedelta(days=20), DAY)
    return WindowManifest(DAY, days, {day: None if place < missing else "r" for place, day in enumerate(days)})


def _windows_complete() -> dict[str, Verdict]:
    cases = {"good": (0, 0), "one missing": (1, 0), "as many as allowed": (3, 3), "more than ten": (12, 3)}
    return {name: predicates.window_complete(_manifest(count), most) for name, (count, most) in cases.items()}


def _window(**columns: list[Any]) -> pa.Table:
    """Four wallets with 50, 30, 15 and 5 transactions."""
    values: Mapping[str, list[Any]] = {
        "wallet_id": ["a", "b", "c", "d"],
        "n_transactions": [50, 30, 15, 5],
        "first_at": [MIDNIGHT - timedelta(days=20)] * 4,
        "last_at": [MIDNIGHT - timedelta(microseconds=1)] * 4,
        "statistical_eligible": [True, True, True, False],
        "isolation_forest_eligible": [True, False, False, False],
        **columns,
    }
    types = {"first_at": TIME, "last_at": TIME, "n_transactions": pa.int64()}
    return pa.table({name: pa.array(column, types.get(name)) for name, column in values.items()})


def _looks() -> dict[str, Verdict]:
    day_after = WindowManifest(DAY, _manifest().days, {**_manifest().revisions, date(2024, 3, 6): "r"})
    return {
        "good": predicates.no_look_ahead(_manifest(), _window()),
        "a row of the day": predicates.no_look_ahead(_manifest(), _window(last_at=[MIDNIGHT] * 4)),
        "a day outside": predicates.no_look_ahead(day_after, _window()),
    }


def _eligibilities() -> dict[str, Verdict]:
    def eligible(table: pa.Table, floor: float = 0.5) -> Verdict:
        return predicates.eligibility("statistical", table, min_wallets=floor, min_transactions=0.9)

    return {
        "good": eligible(_window()),
        "too few": eligible(_window(), 0.76),
        "nobody": eligible(_window(statistical_eligible=[False] * 4)),
        "no rows": eligible(_window().slice(0, 0)),
    }


def _models() -> pa.Table:
    pairs = [("statistical", "a"), ("statistical", "b"), ("statistical", "c"), ("isolation_forest", "a")]
    detectors, wallets = zip(*pairs, strict=True)
    return pa.table({"detector": list(detectors), "wallet_id": list(wallets), "model_id": ["m0", "m1", "m2", "m3"]})


def _have_models() -> dict[str, Verdict]:
    cases = {
        "good": _models(),
        "one too few": _models().slice(1),
        "one too many": pa.concat_tables([_models(), _models().slice(0, 1)]),
        "both and a stranger": pa.concat_tables([_models().slice(0, 3), changed(_models(), 0, detector="other")]),
    }
    return {
        name: predicates.every_eligible_wallet_has_a_model(_window(), table, DETECTORS) for name, table in cases.items()
    }


def _served() -> dict[str, Verdict]:
    rows = _models().to_pylist()
    good = {(row["detector"], row["wallet_id"]): row["model_id"] for row in rows}
    other = {**good, ("statistical", "d"): "m9", ("statistical", "a"): "m8"}
    del other["statistical", "b"]
    cases = {"good": good, "others": other, "nothing": {}}
    return {name: predicates.published_models_match(_models(), served) for name, served in cases.items()}


def _scored() -> pa.Table:
    """The rows of ``kept``: flagged by both, flagged by one, judged by both, judged by one, judged by none."""
    table = kept()
    return pa.table(
        {
            **{published: table.column(name) for published, name in INPUTS.items()},
            "zscore": pa.array([7.0, 1.0, 0.0, 3.5, None]),
            "statistical_anomaly": [True, False, False, False, False],
            "isolation_forest_anomaly": [True, True, False, False, False],
            "is_anomaly": [True, True, False, False, False],
            "isolation_forest_score": pa.array([0.8, 0.7, 0.1, None, None]),
            "anomaly_score": pa.array([0.9, 0.6, 0.0, 0.5, None]),
            "statistical_status": ["judged"] * 4 + ["no_history"],
            "isolation_forest_status": ["judged"] * 3 + ["insufficient_history", "no_history"],
            "statistical_model_id": ["s", "s", "s", "t", None],
            "isolation_forest_model_id": ["f", "f", "f", None, None],
            "reason": ["both", "forest", None, None, None],
        }
    )


def _judged() -> dict[str, Verdict]:
    cases = {
        "good": _scored(),
        "a row too few": _scored().slice(1),
        "a status of no batch": changed(_scored(), 4, statistical_status="model_missing"),
        "a score without a model": changed(_scored(), 0, statistical_model_id=None),
    }
    return {name: predicates.every_transaction_judged_once(kept(), table, DETECTORS) for name, table in cases.items()}


def _unified() -> dict[str, Verdict]:
    cases = {"good": _scored(), "contradicts": changed(_scored(), 1, is_anomaly=False)}
    return {name: predicates.unified_flag_is_the_or(table, DETECTORS) for name, table in cases.items()}


def _coverages() -> dict[str, Verdict]:
    cases = {"good": (_scored(), 0.5), "too few": (_scored(), 0.9), "no rows": (_scored().slice(0, 0), 0.5)}
    return {
        name: predicates.coverage_within_bounds(table, DETECTORS, min_coverage=floor)
        for name, (table, floor) in cases.items()
    }


def _rates() -> dict[str, Verdict]:
    cases = {"good": (_scored(), 0.5), "too many": (_scored(), 0.1), "nothing judged": (_scored().slice(4), 0.5)}
    return {
        name: predicates.anomaly_rate_within_bounds(table, DETECTORS, max_rate=ceiling)
        for name, (table, ceiling) in cases.items()
    }
