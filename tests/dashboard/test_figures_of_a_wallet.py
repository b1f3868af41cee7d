"""Figures of a wallet: every flag is drawn, dots lead to their rows, and shades are the bands."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from anomaly_assets.dashboard.figures.wallet import DRAWN_AT_MOST, amounts_and_line, history, normal_map
from anomaly_assets.views.wallet import NormalOfDay

FIRST = date(2024, 3, 1)
FLAGS = {"day": pa.date32(), "TX_ID": pa.string(), "TX_COMPLETED_AT": pa.timestamp("us", "UTC")}
FLAGS |= {"TOTAL_AMOUNT": pa.float64(), "reason": pa.string()}


def rows(per_day: list[int], flagged: set[int]) -> pa.Table:
    """So many rows on days in a row, of amounts 1, 2, 3, ...; those at ``flagged`` are flagged."""
    days = [FIRST + timedelta(days=offset) for offset, count in enumerate(per_day) for _ in range(count)]
    moments = [datetime(day.year, day.month, day.day, 12, tzinfo=UTC) for day in days]
    return pa.table(
        {
            "day": pa.array(days, pa.date32()),
            "TX_COMPLETED_AT": pa.array(moments, FLAGS["TX_COMPLETED_AT"]),
            "TOTAL_AMOUNT": pa.array([float(number + 1) for number in range(len(days))]),
            "is_anomaly": pa.array([number in flagged for number in range(len(days))]),
        }
    )


def flags(*found: tuple[date, str, float, str]) -> pa.Table:
    """Flagged rows: day, id, amount, reason."""
    told = [
        {"day": day, "TX_ID": tx, "TOTAL_AMOUNT": amount, "reason": why}
        | {"TX_COMPLETED_AT": datetime(day.year, day.month, day.day, 12, tzinfo=UTC)}
        for day, tx, amount, why in found
    ]
    return pa.Table.from_pylist(told, schema=pa.schema(FLAGS))


def test_a_dot_carries_the_day_and_the_place_of_its_row_within_it() -> None:
    drawn = history(rows([2, 0, 3], {3}), flags((FIRST, "t", 4.0, "why")), [], 12)
    dots = next(trace for trace in drawn.data if trace.name == "not flagged")
    assert list(dots.y) == [1.0, 2.0, 3.0, 5.0]
    assert [tuple(each) for each in dots.customdata] == [
        ("2024-03-01", 0), ("2024-03-01", 1), ("2024-03-03", 0), ("2024-03-03", 2),
    ]  # fmt: skip


def test_of_very_many_rows_some_are_drawn_and_every_flag() -> None:
    many = rows([DRAWN_AT_MOST, DRAWN_AT_MOST], set())
    drawn = history(many, flags((FIRST, "a", 1.0, "x"), (FIRST, "b", 2.0, "y")), [], 12)
    by_name = {trace.name: trace for trace in drawn.data}
    assert len(by_name["not flagged"].y) == DRAWN_AT_MOST
    assert by_name["not flagged"].y[0] == 1.0
    assert [tuple(each) for each in by_name["flagged"].customdata] == [("2024-03-01", 0, "a"), ("2024-03-01", 0, "b")]


def test_no_id_and_no_mark_of_a_reason_is_taken_for_markup() -> None:
    drawn = history(rows([1], {0}), flags((FIRST, "<b>t</b>", 1.0, "<a href='x'>why</a>")), [], 12)
    flagged = next(trace for trace in drawn.data if trace.name == "flagged")
    assert list(flagged.text) == ["&lt;a href='x'&gt;why&lt;/a&gt;"]
    assert "customdata" not in flagged.hovertemplate


def test_a_wallet_without_rows_is_an_empty_figure() -> None:
    empty = pa.table({name: pa.array([], pa.null()) for name in rows([], set()).column_names})
    assert len(history(empty, flags(), [NormalOfDay(FIRST, None, {})], 12).data[0].x) == 0


@pytest.mark.parametrize("point", [None, (3.5, 40.0)])
def test_the_shade_of_an_hour_is_its_bands_cut_to_what_is_shown(point: tuple[float, float] | None) -> None:
    bands = [[(0.0, 10.0), (20.0, 1e15)]] + [[] for _ in range(23)]
    drawn = normal_map(bands, np.array([1.0]), np.array([30.0]), point=point)
    shade = next(trace for trace in drawn.data if trace.name == "not flagged")
    high = 60.0 if point is None else 80.0
    assert list(shade.base) == [20.0]
    assert [a + b for a, b in zip(shade.base, shade.y, strict=True)][-1] == pytest.approx(high)


def test_flag_lines_are_the_ends_of_the_band_that_are_shown() -> None:
    drawn = amounts_and_line(np.array([10.0, 20.0]), [(0.0, 25.0)], point=30.0)
    assert [note.text for note in drawn.layout.annotations] == ["flag line 25.00", "this transaction"]
