"""Daily metrics are what counting the rows one by one gives."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.metrics import METRICS, NO_HISTORY, UNIFIED, daily_metrics, ratio, wallet_size_deciles

DAY = date(2024, 3, 1)
DETECTORS = ["statistical", "isolation_forest"]
STATUSES = ["judged", "no_history", "insufficient_history", "constant_history"]
WALLETS = [f"w{n:02d}" for n in range(14)]

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Row:
    """What metrics look at in a scored row: wallet, organisation and, per detector, status and flag."""

    wallet: str
    org: str | None
    statuses: tuple[str, str]
    flags: tuple[bool, bool]


@st.composite
def scored_rows(draw: st.DrawFn) -> Row:
    statuses = draw(st.tuples(st.sampled_from(STATUSES), st.sampled_from(STATUSES)))
    flags = tuple(status == "judged" and draw(st.booleans()) for status in statuses)
    orgs = st.none() | st.sampled_from(["", "None", "a", "é", "Z"])
    return Row(draw(st.sampled_from(WALLETS)), draw(orgs), statuses, (flags[0], flags[1]))


def scored_table(rows: list[Row]) -> pa.Table:
    return pa.table(
        {
            "WALLET_ID": pa.array([row.wallet for row in rows], pa.string()),
            "ORG_NAME": pa.array([row.org for row in rows], pa.string()),
            **{f"{d}_status": pa.array([r.statuses[n] for r in rows], pa.string()) for n, d in enumerate(DETECTORS)},
            **{f"{d}_anomaly": pa.array([r.flags[n] for r in rows], pa.bool_()) for n, d in enumerate(DETECTORS)},
        }
    )


def window_table(counts: dict[str, int]) -> pa.Table:
    return pa.table(
        {
            "wallet_id": pa.array(sorted(counts), pa.string()),
            "n_transactions": pa.array([counts[wallet] for wallet in sorted(counts)], pa.int64()),
        }
    )


def naive_decile(wallet: str, counts: dict[str, int]) -> str:
    """1 for the smallest tenth of the window's wallets by (count, id), 10 for the largest."""
    if wallet not in counts:
        return NO_HISTORY
    smaller = sum((counts[other], other) < (counts[wallet], wallet) for other in counts)
    return str(1 + smaller * 10 // len(counts))


def naive_metrics(rows: list[Row], counts: dict[str, int]) -> dict[tuple[str, str | None, str], tuple[object, ...]]:
    """The metrics table as (kind, group, detector) to its figures, counted one row at a time."""
    groups: dict[tuple[str, str | None], list[Row]] = defaultdict(list)
    for row in rows:
        groups["organisation", row.org].append(row)
        groups["wallet_size_decile", naive_decile(row.wallet, counts)].append(row)
    expected: dict[tuple[str, str | None, str], tuple[object, ...]]
    expected = {("all", "all", UNIFIED): naive_figures(rows, UNIFIED)}
    expected |= {("detector", detector, detector): naive_figures(rows, detector) for detector in DETECTORS}
    for (kind, value), members in groups.items():
        for detector in [UNIFIED, *DETECTORS]:
            expected[kind, value, detector] = naive_figures(members, detector)
    return expected


def naive_figures(rows: list[Row], detector: str) -> tuple[object, ...]:
    """n_rows, n_judged, n_flagged, coverage, rate, disagreement."""
    places = range(2) if detector == UNIFIED else [DETECTORS.index(detector)]
    judged = sum(any(row.statuses[n] == "judged" for n in places) for row in rows)
    flagged = sum(any(row.flags[n] for n in places) for row in rows)
    both = [row for row in rows if row.statuses == ("judged", "judged")]
    disagreement = None
    if detector == UNIFIED and both:
        disagreement = sum(row.flags[0] != row.flags[1] for row in both) / len(both)
    coverage = judged / len(rows) if rows else None
    return len(rows), judged, flagged, coverage, flagged / judged if judged else None, disagreement


def by_key(metrics: pa.Table) -> dict[tuple[str, str | None, str], tuple[object, ...]]:
    figures = METRICS.names()[4:]
    return {
        (row["group_kind"], row["group_value"], row["detector"]): tuple(row[name] for name in figures)
        for row in metrics.to_pylist()
    }


@calm
@given(
    st.lists(scored_rows(), max_size=40),
    st.dictionaries(st.sampled_from(WALLETS), st.integers(1, 3), max_size=len(WALLETS)),
)
def test_metrics_are_what_counting_one_by_one_gives(rows: list[Row], counts: dict[str, int]) -> None:
    metrics = daily_metrics(DAY, scored_table(rows), window_table(counts), DETECTORS)
    assert by_key(metrics) == naive_metrics(rows, counts)
    assert len(by_key(metrics)) == metrics.num_rows, "every group occurs once"
    assert metrics.schema.equals(METRICS.arrow)
    assert metrics.column("day").to_pylist() == [DAY] * metrics.num_rows


@calm
@given(st.data(), st.lists(scored_rows(), min_size=1, max_size=20))
def test_metrics_do_not_depend_on_the_order_or_chunks_of_rows(data: st.DataObject, rows: list[Row]) -> None:
    counts = dict.fromkeys(WALLETS[:7], 1)
    shuffled = data.draw(st.permutations(rows))
    chunked = pa.concat_tables([scored_table([row]) for row in shuffled])
    one = daily_metrics(DAY, scored_table(rows), window_table(counts), DETECTORS)
    assert daily_metrics(DAY, chunked, window_table(counts), DETECTORS).equals(one)


def test_an_empty_day_has_counts_of_zero_and_no_rates() -> None:
    metrics = by_key(daily_metrics(DAY, scored_table([]), window_table({}), DETECTORS))
    nothing = (0, 0, 0, None, None, None)
    assert metrics == {
        ("all", "all", UNIFIED): nothing,
        ("detector", "statistical", "statistical"): nothing,
        ("detector", "isolation_forest", "isolation_forest"): nothing,
    }


def test_the_first_row_is_that_of_all_and_organisations_ascend_with_null_last() -> None:
    rows = [Row("w00", org, ("judged", "judged"), (False, False)) for org in ("é", None, "a", "Z")]
    metrics = daily_metrics(DAY, scored_table(rows), window_table({"w00": 1}), DETECTORS).to_pylist()
    assert (metrics[0]["group_kind"], metrics[0]["detector"]) == ("all", UNIFIED)
    organisations = [
        m["group_value"] for m in metrics if m["group_kind"] == "organisation" and m["detector"] == UNIFIED
    ]
    assert organisations == ["Z", "a", "é", None]


def test_disagreement_is_exactly_one_of_those_that_both_judged() -> None:
    both, one = ("judged", "judged"), ("judged", "constant_history")
    rows = [
        Row("w00", None, both, (True, False)),
        Row("w00", None, both, (False, True)),
        Row("w00", None, both, (True, True)),
        Row("w00", None, both, (False, False)),
        Row("w00", None, one, (True, False)),
    ]
    metrics = by_key(daily_metrics(DAY, scored_table(rows), window_table({}), DETECTORS))
    assert metrics["all", "all", UNIFIED] == (5, 5, 4, 1.0, 0.8, 0.5)
    assert metrics["detector", "isolation_forest", "isolation_forest"] == (5, 4, 2, 0.8, 0.5, None)


def test_deciles_are_by_count_then_wallet() -> None:
    counts = {"j": 1, "i": 1, "h": 2, "g": 3, "f": 4, "e": 5, "d": 6, "c": 7, "b": 8, "a": 9}
    names, codes = wallet_size_deciles(pa.chunked_array([list("ijhgfedcba"), ["unknown"]]), window_table(counts))
    assert [names[code] for code in codes] == ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", NO_HISTORY]


@pytest.mark.parametrize(("wallets", "deciles"), [(1, ["1"]), (2, ["1", "6"]), (3, ["1", "4", "7"]), (20, None)])
def test_few_wallets_spread_over_the_deciles(wallets: int, deciles: list[str] | None) -> None:
    counts = {f"w{n:02d}": n + 1 for n in range(wallets)}
    names, codes = wallet_size_deciles(pa.chunked_array([sorted(counts)]), window_table(counts))
    expected = deciles or [str(1 + n // 2) for n in range(20)]
    assert [names[code] for code in codes] == expected


def test_nothing_divided_by_nothing_is_null() -> None:
    assert ratio(0, 0) is None
    assert ratio(1, 4) == 0.25


def test_a_hundred_thousand_organisations_are_counted_each() -> None:
    rows = 200_000
    table = pa.table(
        {
            "WALLET_ID": ["w00"] * rows,
            "ORG_NAME": [f"org {n % 100_000:06d}" for n in range(rows)],
            **{f"{d}_status": ["judged"] * rows for d in DETECTORS},
            **{f"{d}_anomaly": [n < 100_000 for n in range(rows)] for d in DETECTORS},
        }
    )
    metrics = daily_metrics(DAY, table, window_table({"w00": 1}), DETECTORS)
    organisations = metrics.filter(pc.equal(metrics.column("group_kind"), "organisation"))
    assert organisations.num_rows == 300_000
    assert set(organisations.column("rate").to_pylist()) == {0.5}


def test_rows_at_hours_the_wallet_never_used_are_a_group_of_their_own() -> None:
    """The forest is blind there, so the page must show how many such rows there are and that none is flagged."""
    rows = [Row("w00", None, ("judged", "judged"), (flag, False)) for flag in (True, False, False, False)]
    scored = scored_table(rows).append_column("hour_unseen", pa.array([True, True, False, None]))
    metrics = by_key(daily_metrics(DAY, scored, window_table({"w00": 1}), DETECTORS))
    assert {group: metrics["hour_unseen", group, UNIFIED][:3] for group in ("yes", "no", "unknown")} == {
        "yes": (2, 2, 1),
        "no": (1, 1, 0),
        "unknown": (1, 1, 0),
    }
