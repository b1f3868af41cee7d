"""Spark lines and charts, checked by hand."""

import re
from datetime import date, timedelta

import pytest

from anomaly_assets.reports.sparks import chart, spark, spark_svg

DAYS = [date(2024, 1, 1) + timedelta(days=offset) for offset in range(3)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ""),
        ([None], "·"),
        ([5.0], "▄"),
        ([0.0], "▁"),
        ([3.0, 3.0, 3.0], "▄▄▄"),
        ([0.0, None, 0.0], "▁·▁"),
        ([0.0, 7.0], "▁█"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([7, 0, None, 3.4, 3.6], "█▁·▄▅"),
        ([-1.0, 0.0, 1.0], "▁▅█"),
    ],
)
def test_a_spark_line_has_a_block_for_every_value_from_lowest_to_highest(
    values: list[float | None], expected: str
) -> None:
    assert spark(values) == expected


def heights(svg: str) -> list[float]:
    """Heights of the bars, in order."""
    return [float(height) for height in re.findall(r'height="([\d.]+)" fill="var\(--(?:bar|day|flag)\)"', svg)]


def test_bars_of_a_small_chart_are_as_high_as_their_values_and_the_last_is_darker() -> None:
    drawn = spark_svg([0.0, 1.0, 2.0])
    assert heights(drawn) == [1.0, 11.5, 22.0]
    assert re.findall(r"var\(--(\w+)\)", drawn) == ["bar", "bar", "day"]
    assert heights(spark_svg([])) == []
    assert heights(spark_svg([None, 0.0])) == [1.0]


def test_a_chart_draws_a_bar_a_day_the_usual_range_and_names_its_ends() -> None:
    drawn = chart("rate", DAYS, [0.1, None, 0.2], unit="{:.1%}", band=[None, None, (0.05, 0.15)])
    assert heights(drawn) == [52.0, 104.0]
    (band,) = re.findall(r'y="([\d.]+)"[^>]*height="([\d.]+)" fill="var\(--band\)"', drawn)
    assert band == ("34.00", "52.00")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert texts == ["20.0%", "0.0%", "01-03"], "too few days to name the first one"
    assert "<title>2024-01-01: 10.0%</title>" in drawn


def test_the_days_stand_at_the_right_and_the_first_of_many_is_named() -> None:
    many = [DAYS[0] + timedelta(days=offset) for offset in range(28)]
    assert re.findall(r"<text[^>]*>([^<]*)</text>", chart("rows", many, [1.0] * 28))[2:] == ["01-28", "01-01"]
    places = [float(x) for x in re.findall(r'<rect x="([\d.]+)"', spark_svg([1.0, 1.0]))]
    assert places == pytest.approx([128 - 2 * 128 / 28 + 0.11 * 128 / 28, 128 - 128 / 28 + 0.11 * 128 / 28], abs=0.01)


def test_charts_of_nothing_and_of_one_day_can_be_drawn() -> None:
    assert heights(chart("rows", [], [])) == []
    assert heights(chart("rows", DAYS[:1], [0.0])) == [1.0]
    assert heights(chart("coverage", DAYS[:1], [0.5], top=1.0)) == [52.0]
