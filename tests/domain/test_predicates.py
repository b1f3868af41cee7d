"""Every check passes on good tables and fails on each single broken condition."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from anomaly_assets.domain import predicates
from anomaly_assets.domain.days import trailing_window
from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.published import INPUT_NAMES
from anomaly_assets.domain.schema import QUARANTINE, TIME, TRANSACTIONS
from anomaly_assets.domain.verdicts import Severity, Verdict

DAY = date(2024, 3, 1)
START = datetime(2024, 3, 1, tzinfo=UTC)
FIRST_MOMENT = START - timedelta(days=180)
DETECTORS = ["statistical", "isolation_forest"]
Row = dict[str, Any]


def changed(table: pa.Table, row: int, **values: Any) -> pa.Table:
    """``table`` with single values of one row replaced."""
    for name, value in values.items():
        column = table.column(name).to_pylist()
        column[row] = value
        table = table.set_column(table.schema.get_field_index(name), table.field(name), [column])
    return table


def assert_fails(verdict: Verdict, *words: str) -> None:
    """A blocking verdict that failed and says why."""
    assert not verdict.passed
    assert verdict.blocks
    assert all(word in verdict.message for word in words), verdict.message


def assert_passes(verdict: Verdict, check: str) -> None:
    assert verdict.passed, verdict.message
    assert not verdict.blocks
    assert verdict.check == check


# ---- raw days


def kept() -> pa.Table:
    """Five rows of two wallets, as the border leaves them."""
    rows = [
        {
            "tx_id": f"t{n}",
            "wallet_id": "a" if n < 3 else "b",
            "tx_completed_at": START + timedelta(hours=n),
            "total_amount": 10.0 * n,
            "org_name": None if n == 2 else "org",
        }
        for n in range(5)
    ]
    return pa.Table.from_pylist(rows, schema=TRANSACTIONS.arrow)


def test_a_good_raw_day_fits_the_schema() -> None:
    verdict = predicates.schema(kept())
    assert_passes(verdict, "schema")
    assert verdict.blocking
    assert_passes(predicates.schema(kept().slice(0, 0)), "schema")
    assert_passes(predicates.schema(TRANSACTIONS.arrow.empty_table()), "schema")


def nullable(table: pa.Table, name: str) -> pa.Table:
    index = table.schema.get_field_index(name)
    return table.set_column(index, pa.field(name, table.field(name).type), table.column(name))


BROKEN_DAYS: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "a column too few": (lambda t: t.drop_columns("org_name"), "column 4 is absent"),
    "a column too many": (lambda t: t.append_column("x", t.column("tx_id")), "column 5 is"),
    "another name": (lambda t: t.rename_columns(["id", *t.column_names[1:]]), "column 0 is"),
    "another order": (lambda t: t.select(t.column_names[::-1]), "column 0 is"),
    "another type": (
        lambda t: t.set_column(3, pa.field("total_amount", pa.float32(), nullable=False), t.column(3).cast("float32")),
        "column 3 is",
    ),
    "times without zone": (
        lambda t: t.set_column(
            2, pa.field("tx_completed_at", pa.timestamp("us"), nullable=False), t.column(2).cast("timestamp[us]")
        ),
        "column 2 is",
    ),
    "ids that may be null": (lambda t: nullable(t, "tx_id"), "column 0 is"),
    "a null id": (lambda t: changed(t, 1, tx_id=None), "tx_id has 1 nulls"),
    "a null wallet": (lambda t: changed(t, 1, wallet_id=None), "wallet_id has 1 nulls"),
    "a null time": (lambda t: changed(t, 1, tx_completed_at=None), "tx_completed_at has 1 nulls"),
    "a null amount": (lambda t: changed(t, 1, total_amount=None), "total_amount has 1 nulls"),
    "an infinite amount": (lambda t: changed(t, 1, total_amount=float("inf")), "1 amounts are not finite"),
    "an amount that is no number": (lambda t: changed(t, 1, total_amount=float("nan")), "1 amounts are not finite"),
    "wallets out of order": (lambda t: t.take([3, 4, 0, 1, 2]), "not sorted"),
    "times out of order": (lambda t: t.take([1, 0, 2, 3, 4]), "not sorted"),
    "ids out of order": (lambda t: changed(t, 0, tx_id="t9", tx_completed_at=START + timedelta(hours=1)), "not sorted"),
}


@pytest.mark.parametrize("broken", BROKEN_DAYS)
def test_a_raw_day_with_one_broken_condition_fails_the_schema(broken: str) -> None:
    breaks, why = BROKEN_DAYS[broken]
    assert_fails(predicates.schema(breaks(kept())), why)


def test_null_organisations_and_metadata_are_fine() -> None:
    plain = changed(kept(), 0, org_name=None)
    assert_passes(predicates.schema(plain.replace_schema_metadata({"a": "b"})), "schema")


def test_sorting_is_by_utf_8_bytes() -> None:
    names = ["Z", "a", "é", "\uffff", "\N{PILE OF POO}"]
    table = kept()
    for row, name in enumerate(names):
        table = changed(table, row, wallet_id=name)
    assert_passes(predicates.schema(table), "schema")
    assert_fails(predicates.schema(changed(changed(table, 3, wallet_id=names[4]), 4, wallet_id=names[3])), "not sorted")


def test_ids_that_occur_once_are_unique() -> None:
    verdict = predicates.unique_transaction_ids(kept())
    assert_passes(verdict, "unique_transaction_ids")
    assert verdict.numbers == {"rows": 5, "repeated": 0}
    assert_passes(predicates.unique_transaction_ids(kept().slice(0, 0)), "unique_transaction_ids")


def test_a_repeated_id_is_counted() -> None:
    verdict = predicates.unique_transaction_ids(changed(kept(), 4, tx_id="t0"))
    assert_fails(verdict, "1 of 5")
    assert verdict.numbers == {"rows": 5, "repeated": 1}


def quarantine(rows: int = 2) -> pa.Table:
    return pa.Table.from_pylist([{"reason": "negative_amount"}] * rows, schema=QUARANTINE.arrow)


def ledger(**changes: int) -> Verdict:
    """The verdict on a balanced ledger of 5 kept, 2 quarantined and 3 duplicate rows, with changes."""
    values = {"n_in": 10, "n_duplicate": 3, "source_rows": 10, "quarantined": 2} | changes
    return predicates.ledger_balances(
        {"n_in": values["n_in"], "n_duplicate": values["n_duplicate"]},
        kept(),
        quarantine(values["quarantined"]),
        values["source_rows"],
    )


def test_a_balanced_ledger_passes_with_its_numbers() -> None:
    assert_passes(ledger(), "ledger_balances")
    assert ledger().numbers == {"rows_in": 10, "source_count": 10, "kept": 5, "quarantined": 2, "duplicate": 3}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"source_rows": 11}, "the source counted 11 rows but delivered 10"),
        ({"n_in": 9}, "the source counted 10 rows but delivered 9"),
        ({"n_duplicate": 2}, "10 rows came in but 9 are accounted for"),
        ({"quarantined": 3}, "10 rows came in but 11 are accounted for"),
        ({"quarantined": 0, "n_in": 8}, "the source counted 10"),
    ],
)
def test_a_ledger_that_does_not_balance_fails(change: dict[str, int], why: str) -> None:
    assert_fails(ledger(**change), why)


# ---- windows


def manifest(missing: int = 0) -> WindowManifest:
    days = list(trailing_window(DAY, 180, date(2000, 1, 1)))
    revisions = {day: None if n < missing else "r" for n, day in enumerate(days)}
    return WindowManifest(DAY, trailing_window(DAY, 180, date(2000, 1, 1)), revisions)


def test_a_window_without_missing_days_is_complete() -> None:
    assert_passes(predicates.window_complete(manifest(), 0), "window_complete")


def test_a_missing_day_blocks_and_is_named() -> None:
    verdict = predicates.window_complete(manifest(1), 0)
    assert_fails(verdict, "1 of 180 days", "2023-09-03", "window.max_missing_days")
    assert verdict.numbers["missing"] == 1


def test_as_many_missing_days_as_allowed_warn_and_one_more_blocks() -> None:
    allowed = predicates.window_complete(manifest(3), 3)
    assert (allowed.passed, allowed.severity, allowed.blocks) == (False, Severity.WARN, False)
    assert_fails(predicates.window_complete(manifest(4), 3), "4 of 180")


def test_many_missing_days_are_counted_and_the_first_ten_named() -> None:
    verdict = predicates.window_complete(manifest(12), 0)
    assert_fails(verdict, "12 of 180", "2023-09-12, ...")
    assert "2023-09-13" not in verdict.message


def test_a_short_window_is_complete() -> None:
    days = trailing_window(DAY, 180, DAY)
    assert_passes(predicates.window_complete(WindowManifest(DAY, days, {}), 0), "window_complete")


def window(**columns: Any) -> pa.Table:
    """Four wallets with 50, 30, 15 and 5 transactions."""
    values: dict[str, Any] = {
        "wallet_id": ["a", "b", "c", "d"],
        "n_transactions": [50, 30, 15, 5],
        "first_at": [FIRST_MOMENT] * 4,
        "last_at": [START - timedelta(microseconds=1)] * 4,
        "statistical_eligible": [True, True, True, False],
        "isolation_forest_eligible": [True, False, False, False],
    } | columns
    types = {"first_at": TIME, "last_at": TIME, "n_transactions": pa.int64()}
    return pa.table({name: pa.array(column, types.get(name)) for name, column in values.items()})


def test_a_window_from_its_first_to_its_last_moment_looks_nowhere_ahead() -> None:
    assert_passes(predicates.no_look_ahead(manifest(), window()), "no_look_ahead")
    assert_passes(predicates.no_look_ahead(manifest(), window().slice(0, 0)), "no_look_ahead")


@pytest.mark.parametrize(
    "column",
    [
        {"last_at": START},
        {"last_at": START + timedelta(days=9)},
        {"first_at": FIRST_MOMENT - timedelta(microseconds=1)},
    ],
)
def test_a_row_of_the_day_itself_or_before_the_window_fails(column: Row) -> None:
    verdict = predicates.no_look_ahead(manifest(), changed(window(), 2, **column))
    assert_fails(verdict, "1 wallets")
    assert verdict.numbers == {"wallets_outside": 1}


@pytest.mark.parametrize("offset", [0, 1, -181])
def test_a_manifest_with_a_day_outside_the_window_fails(offset: int) -> None:
    outside = DAY + timedelta(days=offset)
    good = manifest()
    assert_fails(
        predicates.no_look_ahead(WindowManifest(DAY, good.days, {**good.revisions, outside: "r"}), window()),
        outside.isoformat(),
    )


def eligible(table: pa.Table, wallets: float = 0.5, transactions: float = 0.9) -> Verdict:
    return predicates.eligibility("statistical", table, min_wallets=wallets, min_transactions=transactions)


def test_enough_eligible_wallets_and_transactions_pass_with_their_shares() -> None:
    verdict = eligible(window())
    assert_passes(verdict, "statistical_eligibility")
    assert verdict.numbers == {
        "wallets": 4,
        "eligible": 3,
        "share_of_wallets": 0.75,
        "share_of_transactions": 0.95,
    }
    assert eligible(window(), 0.75, 0.95).passed, "the floors themselves are enough"


@pytest.mark.parametrize(("wallets", "transactions"), [(0.76, 0.9), (0.5, 0.96)])
def test_a_share_below_its_floor_warns(wallets: float, transactions: float) -> None:
    verdict = eligible(window(), wallets, transactions)
    assert (verdict.passed, verdict.severity, verdict.blocking) == (False, Severity.WARN, False)
    assert "75.0%" in verdict.message
    assert "95.0%" in verdict.message


def test_nothing_usable_is_an_error_that_still_does_not_block() -> None:
    verdict = eligible(window(statistical_eligible=[False] * 4))
    assert (verdict.passed, verdict.severity, verdict.blocks) == (False, Severity.ERROR, False)


def test_eligibility_of_an_empty_window_is_not_applicable() -> None:
    verdict = eligible(window().slice(0, 0))
    assert verdict.passed
    assert "not applicable" in verdict.message
    assert verdict.numbers["share_of_wallets"] is None


# ---- models


def models() -> pa.Table:
    """A model for each eligible wallet and detector of ``window``."""
    pairs = [("statistical", "a"), ("statistical", "b"), ("statistical", "c"), ("isolation_forest", "a")]
    return pa.table(
        {
            "detector": [detector for detector, _ in pairs],
            "wallet_id": [wallet for _, wallet in pairs],
            "model_id": [f"model {n}" for n in range(4)],
        }
    )


def have_models(table: pa.Table) -> Verdict:
    return predicates.every_eligible_wallet_has_a_model(window(), table, DETECTORS)


def test_one_model_for_each_eligible_wallet_and_detector_passes() -> None:
    verdict = have_models(models())
    assert_passes(verdict, "every_eligible_wallet_has_a_model")
    assert verdict.numbers["statistical_models"] == 3
    assert verdict.numbers["isolation_forest_models"] == 1
    nobody = window(statistical_eligible=[False] * 4, isolation_forest_eligible=[False] * 4)
    assert predicates.every_eligible_wallet_has_a_model(nobody, models().slice(0, 0), DETECTORS).passed


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (models().slice(1), "statistical: 1 eligible wallets without a model, 0 models too many"),
        (models().slice(0, 3), "isolation_forest: 1 eligible wallets without a model"),
        (
            pa.concat_tables([models(), models().slice(0, 1)]),
            "statistical: 0 eligible wallets without a model, 1 models",
        ),
        (changed(models(), 2, wallet_id="d"), "statistical: 1 eligible wallets without a model, 1 models too many"),
        (changed(models(), 0, detector="isolation_forest"), "isolation_forest: 0 eligible wallets without a model, 1"),
        (
            pa.concat_tables([models(), changed(models().slice(0, 1), 0, detector="other")]),
            "1 models are of other detectors",
        ),
    ],
)
def test_a_missing_doubled_or_strange_model_blocks(table: pa.Table, why: str) -> None:
    assert_fails(have_models(table), why)


def served() -> dict[tuple[str, str], str]:
    columns = (models().column(name).to_pylist() for name in ("detector", "wallet_id", "model_id"))
    return {(detector, wallet): model_id for detector, wallet, model_id in zip(*columns, strict=True)}


def test_a_store_that_serves_exactly_the_models_matches() -> None:
    verdict = predicates.published_models_match(models(), served())
    assert_passes(verdict, "published_models_match")
    assert verdict.numbers == {"models": 4, "missing": 0, "surplus": 0, "different": 0}


@pytest.mark.parametrize(
    ("other", "numbers"),
    [
        ({}, {"missing": 4, "surplus": 0, "different": 0}),
        (
            {k: v for k, v in served().items() if k != ("statistical", "b")},
            {"missing": 1, "surplus": 0, "different": 0},
        ),
        (served() | {("statistical", "d"): "model 9"}, {"missing": 0, "surplus": 1, "different": 0}),
        (served() | {("statistical", "b"): "model 9"}, {"missing": 0, "surplus": 0, "different": 1}),
    ],
)
def test_a_store_that_serves_other_models_does_not_match(other: dict[tuple[str, str], str], numbers: Row) -> None:
    verdict = predicates.published_models_match(models(), other)
    assert not verdict.passed
    assert verdict.numbers == {"models": 4, **numbers}


# ---- scores


def scored() -> pa.Table:
    """The rows of ``kept`` judged by both (0 flagged by both, 1 by one), by one (2, 3) and by none (4)."""
    judged, short, none = DetectorStatus.JUDGED, DetectorStatus.INSUFFICIENT_HISTORY, DetectorStatus.NO_HISTORY
    table = kept()
    inputs = {published: table.column(name) for name, published in INPUT_NAMES.items()}
    return pa.table(
        {
            **inputs,
            "zscore": pa.array([7.0, 1.0, 0.0, 3.5, None]),
            "statistical_anomaly": [True, False, False, False, False],
            "isolation_forest_anomaly": [True, True, False, False, False],
            "is_anomaly": [True, True, False, False, False],
            "isolation_forest_score": pa.array([0.8, 0.7, None, None, None]),
            "anomaly_score": pa.array([0.9, 0.6, 0.0, 0.5, None]),
            "statistical_status": [judged.value] * 4 + [none.value],
            "isolation_forest_status": [judged.value, judged.value, short.value, "constant_history", none.value],
            "statistical_model_id": ["s", "s", "s", "t", None],
            "isolation_forest_model_id": ["f", "f", None, None, None],
            "reason": ["both", "forest", None, None, None],
        }
    )


def judged_once(table: pa.Table) -> Verdict:
    return predicates.every_transaction_judged_once(kept(), table, DETECTORS)


def test_good_scores_pass_every_check() -> None:
    assert_passes(judged_once(scored()), "every_transaction_judged_once")
    assert_passes(predicates.unified_flag_is_the_or(scored(), DETECTORS), "unified_flag_is_the_or")


def test_an_empty_day_passes_every_check() -> None:
    empty, nothing = scored().slice(0, 0), kept().slice(0, 0)
    assert predicates.every_transaction_judged_once(nothing, empty, DETECTORS).passed
    assert predicates.unified_flag_is_the_or(empty, DETECTORS).passed


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (scored().slice(1), "4 scored rows are not the 5 raw rows"),
        (pa.concat_tables([scored(), scored().slice(4)]), "6 scored rows are not the 5 raw rows"),
        (pa.concat_tables([scored().slice(0, 4), scored().slice(0, 1)]), "are not the 5 raw rows"),
        (scored().take([1, 0, 2, 3, 4]), "are not the 5 raw rows"),
        (changed(scored(), 0, TX_ID="other"), "are not the 5 raw rows"),
        (changed(scored(), 0, WALLET_ID="other"), "are not the 5 raw rows"),
        (changed(scored(), 0, TX_COMPLETED_AT=START + timedelta(microseconds=1)), "are not the 5 raw rows"),
        (changed(scored(), 0, TOTAL_AMOUNT=0.1), "are not the 5 raw rows"),
        (changed(scored(), 0, ORG_NAME=None), "are not the 5 raw rows"),
        (changed(scored(), 4, statistical_status="model_missing"), "1 statuses are not allowed"),
        (changed(scored(), 4, statistical_status="NO_HISTORY"), "1 statuses are not allowed"),
        (changed(scored(), 4, isolation_forest_status=None), "1 statuses are not allowed"),
        (changed(scored(), 0, statistical_model_id=None), "1 rows have a score, a flag or a model id"),
        (changed(scored(), 4, statistical_model_id="s"), "1 rows have a score, a flag or a model id"),
        (changed(scored(), 4, statistical_anomaly=True), "1 rows have a score, a flag or a model id"),
        (changed(scored(), 2, isolation_forest_anomaly=True), "1 rows have a score, a flag or a model id"),
        (changed(scored(), 0, zscore=None), "1 rows have a score, a flag or a model id"),
        (changed(scored(), 0, zscore=float("nan")), "1 rows have a score, a flag or a model id"),
        (changed(scored(), 2, isolation_forest_score=0.5), "1 rows have a score, a flag or a model id"),
        (changed(scored(), 3, statistical_status="no_history"), "1 rows have a score, a flag or a model id"),
        (changed(scored(), 4, statistical_status="judged"), "1 rows have a score, a flag or a model id"),
    ],
)
def test_scores_with_one_broken_condition_are_not_each_row_judged_once(table: pa.Table, why: str) -> None:
    assert_fails(judged_once(table), why)


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (1, {"is_anomaly": False}),
        (2, {"is_anomaly": True}),
        (1, {"isolation_forest_anomaly": False}),
        (2, {"statistical_anomaly": True}),
        (1, {"reason": None}),
        (2, {"reason": "because"}),
        (1, {"anomaly_score": 0.5}),
        (2, {"anomaly_score": 0.51}),
        (2, {"anomaly_score": None}),
        (2, {"anomaly_score": float("nan")}),
        (4, {"anomaly_score": 0.0}),
        (0, {"anomaly_score": 1.0}),
        (2, {"anomaly_score": -0.1}),
        (0, {"anomaly_score": None}),
        (2, {"is_anomaly": None}),
        (2, {"statistical_anomaly": None}),
    ],
)
def test_a_row_that_contradicts_itself_blocks(row: int, change: Row) -> None:
    verdict = predicates.unified_flag_is_the_or(changed(scored(), row, **change), DETECTORS)
    assert_fails(verdict, "1 rows contradict themselves")
    assert verdict.numbers == {"wrong": 1}


def test_coverage_counts_rows_that_any_detector_judged() -> None:
    verdict = predicates.coverage_within_bounds(scored(), DETECTORS, min_coverage=0.8)
    assert_passes(verdict, "coverage_within_bounds")
    assert verdict.numbers == {"rows": 5, "judged": 4, "coverage": 0.8}
    below = predicates.coverage_within_bounds(scored(), DETECTORS, min_coverage=0.81)
    assert (below.passed, below.severity, below.blocking) == (False, Severity.WARN, False)


def test_coverage_of_an_empty_day_is_not_applicable() -> None:
    verdict = predicates.coverage_within_bounds(scored().slice(0, 0), DETECTORS, min_coverage=1.0)
    assert verdict.passed
    assert verdict.numbers["coverage"] is None


def test_the_rate_is_of_judged_rows() -> None:
    verdict = predicates.anomaly_rate_within_bounds(scored(), DETECTORS, max_rate=0.5)
    assert_passes(verdict, "anomaly_rate_within_bounds")
    assert verdict.numbers == {"judged": 4, "flagged": 2, "rate": 0.5}
    above = predicates.anomaly_rate_within_bounds(scored(), DETECTORS, max_rate=0.49)
    assert (above.passed, above.severity, above.blocking) == (False, Severity.WARN, False)


def test_the_rate_of_a_day_that_nobody_judged_is_not_applicable() -> None:
    verdict = predicates.anomaly_rate_within_bounds(scored().slice(4), DETECTORS, max_rate=0.0)
    assert verdict.passed
    assert verdict.numbers["rate"] is None


def test_numbers_of_every_verdict_are_json() -> None:
    verdicts = [
        predicates.schema(kept()),
        predicates.unique_transaction_ids(kept()),
        ledger(),
        predicates.window_complete(manifest(2), 0),
        predicates.no_look_ahead(manifest(), window()),
        eligible(window()),
        have_models(models()),
        predicates.published_models_match(models(), served()),
        judged_once(scored()),
        predicates.unified_flag_is_the_or(scored(), DETECTORS),
        predicates.coverage_within_bounds(scored(), DETECTORS, min_coverage=0.5),
        predicates.anomaly_rate_within_bounds(scored(), DETECTORS, max_rate=0.5),
    ]
    assert len({verdict.check for verdict in verdicts}) == len(verdicts)
    for verdict in verdicts:
        assert json.loads(json.dumps(verdict.as_json())) == verdict.as_json()
