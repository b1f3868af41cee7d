"""What is put on Dagster's pages: tables, lists, figures and pictures."""

import base64
import io
import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow as pa
import pytest
from browser.hostile_flags import flags
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from anomaly_assets.assets import plots
from anomaly_assets.assets.drawing import BOTTOM, FLAGGED, LEFT, RIGHT, TOP, Range, round_ticks
from anomaly_assets.assets.metadata import DIALOG_CHARACTERS, figures, flag_table, markdown_table

DASHBOARD = "http://127.0.0.1:8501"
AT = datetime(2024, 3, 5, 21, 4, 5, tzinfo=UTC)


def cells(markdown: str) -> list[str]:
    """Cells of the first row of a markdown table."""
    return [cell.strip() for cell in markdown.splitlines()[2].strip("| ").split(" | ")]


def png_of(markdown: str) -> Image.Image:
    """The picture inside markdown, decoded."""
    content = base64.b64decode(markdown.removeprefix("![plot](data:image/png;base64,").removesuffix(")"))
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def test_a_table_of_any_size_opens_in_a_dialog_because_the_page_cuts_tables_off() -> None:
    for rows in (1, 30):
        markdown = markdown_table(pa.table({"wallet_id": ["W1"] * rows})).value
        assert len(markdown) >= DIALOG_CHARACTERS


def test_a_table_says_how_many_rows_it_leaves_out() -> None:
    assert "5 more rows" in markdown_table(pa.table({"n": list(range(15))})).value
    assert "more rows" not in markdown_table(pa.table({"n": list(range(10))})).value


def test_a_table_without_rows_says_so() -> None:
    assert markdown_table(pa.table({"n": pa.array([], pa.int64())})).value == "no rows"


def test_cells_are_written_for_people() -> None:
    digest = "ab12" * 16
    row = pa.table({"t": [AT], "n": [12345], "x": [1234.567], "r": [0.0201729], "b": [True], "d": [digest]})
    time, *others = cells(markdown_table(row).value)
    assert time.replace("\u2060", "").replace("\u00a0", " ") == "2024-03-05 21:04:05"
    assert others == ["12,345", "1,234.57", "0.02017", "yes", "`ab12ab12ab12…`"]


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("**bold** [x](http://a)", "`**bold** [x](http://a)`"),
        ("<img src=x>", "`<img src=x>`"),
        ("a|b`c", "`a\\u007cb\\u0060c`"),
        ("line\nbreak", "`line\\u000abreak`"),
        ("\u202egnp.exe", "`\\u202egnp.exe`"),
        ("x" * 200, f"`{'x' * 80}…`"),
        ("", ""),
    ],
)
def test_foreign_text_is_shown_as_it_is_and_does_nothing(hostile: str, shown: str) -> None:
    assert cells(markdown_table(pa.table({"a": [1], "org": [hostile], "z": [2]})).value) == ["1", shown, "2"]


@given(st.text(max_size=200))
def test_no_text_leaves_its_cell_or_its_code_span(text: str) -> None:
    markdown = markdown_table(pa.table({"a": [1], "org": [text], "z": [2]})).value
    first, foreign, last = cells(markdown)
    assert (first, last, len(markdown.splitlines())) == ("1", "2", 3)
    assert foreign == "" if not text else (foreign[0], foreign[-1], foreign.count("`")) == ("`", "`", 2)


def test_flags_are_a_table_of_score_place_reason_and_the_command_that_traces_them() -> None:
    header, _, first, *others = flag_table(flags("t*1", "t2")).value.splitlines()
    assert header == "| score | UTC | wallet | amount | reason | trace it |"
    assert first == (
        "| **0.626** | 21:04:05 | `W1` | 5,000.00 | amount 5,000.00 is 7.1 standard deviations above "
        "| `anomaly-assets trace 't*1'` |"
    )
    assert others[0].rstrip().endswith("| `anomaly-assets trace t2` |")
    assert "5 more rows" in flag_table(flags(*map(str, range(15)))).value
    assert flag_table(flags()).value == "no flags"


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("amount 9.00 is 7.1 standard deviations above 1.00; the flag line is 2.00; amount 9.00 in hour 3", 49),
        ("amount 9.00 stands apart: its isolation score is 0.7", 24),
    ],
)
def test_the_reason_of_a_flag_is_its_first_clause(reason: str, shown: int) -> None:
    assert cells(flag_table(flags("t", reason=reason)).value)[4] == reason[:shown]


def test_a_reason_without_end_is_cut_at_a_word() -> None:
    shown = cells(flag_table(flags("t", reason="word " * 100)).value)[4]
    assert (len(shown) <= 110, shown.removesuffix(" …").split()) == (True, ["word"] * 21)


def test_with_a_dashboard_scores_lead_to_their_flag_and_wallets_to_their_history() -> None:
    table = flag_table(flags("t*1", "t2"), dashboard=DASHBOARD).value
    score, _, wallet, *others = cells(table)
    assert score == f"[**0.626**]({DASHBOARD}/?page=flag&tx=t%2A1&day=2024-03-05)"
    assert wallet == f"[`W1`]({DASHBOARD}/?page=wallet&wallet=W1&day=2024-03-05)"
    assert others == cells(flag_table(flags("t*1", "t2")).value)[3:]
    assert "A score leads to its flag in the dashboard" in table


@given(st.text(min_size=1, max_size=300))
def test_the_link_of_a_flag_brings_any_id_to_the_dashboard(tx_id: str) -> None:
    score, *_ = cells(flag_table(flags(tx_id), dashboard=DASHBOARD).value)
    link = score.removeprefix("[**0.626**](").removesuffix(")")
    assert parse_qs(urlsplit(link).query) == {"page": ["flag"], "tx": [tx_id], "day": ["2024-03-05"]}


@pytest.mark.parametrize("dashboard", [None, DASHBOARD])
@given(tx_id=st.text(min_size=1, max_size=300))
def test_no_id_leaves_the_cell_of_its_command(dashboard: str | None, tx_id: str) -> None:
    """A bar ends a cell unless an odd number of backslashes is before it; code ends at a fence of its length."""
    _, _, line, *_ = flag_table(flags(tx_id), dashboard=dashboard).value.splitlines()
    *_, command, after = re.split(r"(?<!\\)(?:\\\\)*\|", line)
    fence = re.match(" (`+)", command)
    assert after.strip() == ""
    assert fence
    assert re.findall("`+", command).count(fence[1]) == 2


def test_figures_stay_numbers_and_leave_out_what_does_not_apply() -> None:
    assert figures({"rows": 3, "coverage": 0.9327956989247311, "rate": None}) == {"rows": 3, "coverage": 0.932796}


@pytest.mark.parametrize("values", [[], [0.0], [7.0], [1e-3, 1e12]])
def test_every_plot_can_draw_nothing_one_value_and_twelve_orders_of_magnitude(values: list[float]) -> None:
    amounts = np.array(values)
    hours = np.zeros(len(values))
    flagged = np.zeros(len(values), dtype=bool)
    panels = [
        plots.histogram(amounts, title="amounts", of="amount", log=True),
        plots.histogram(amounts, title="scores", of="score", flag_line=0.5),
        plots.hours_of_day(hours.astype(np.int64), title="hours"),
        plots.bars({str(value): int(value) for value in values}, title="bars", of="rows"),
        plots.by_hour_and_amount(hours, amounts, flagged, title="amounts by hour"),
    ]
    for panel in panels:
        assert png_of(plots.picture(panel).value or "").size == (440, 290)


def test_the_same_data_is_the_same_picture() -> None:
    amounts = np.geomspace(1, 1000, 50)
    first, second = (plots.picture(plots.histogram(amounts, title="a", of="b", log=True)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("low", "high", "whole", "shown"),
    [
        (0, 1, True, ["0", "1"]),
        (0, 7, True, ["0", "2", "4", "6"]),
        (0, 1250, True, ["0", "250", "500", "750", "1,000", "1,250"]),
        (0.1, 0.9, False, ["0.2", "0.4", "0.6", "0.8"]),
        (-0.02, 0.13, False, ["0.000", "0.025", "0.050", "0.075", "0.100", "0.125"]),
        (0, 1e12, False, ["0", "2e+11", "4e+11", "6e+11", "8e+11", "1e+12"]),
    ],
)
def test_ticks_are_round_numbers_and_whole_ones_for_counts(
    low: float, high: float, whole: bool, shown: list[str]
) -> None:
    assert list(round_ticks(Range(low, high), most=6, whole=whole).values()) == shown


def test_flagged_dots_lie_in_front_of_the_others_at_their_hour_and_amount() -> None:
    hours, amounts = np.array([12.0, 12.0, 0.0, 24.0]), np.array([10.0, 10.0, 1.0, 100.0])
    flagged = np.array([True, False, False, False])
    drawn = png_of(plots.picture(plots.by_hour_and_amount(hours, amounts, flagged, title="t")).value or "")
    middle = ((LEFT + RIGHT) // 2, (TOP + BOTTOM) // 2)
    assert drawn.convert("RGB").getpixel(middle) == ImageColor.getrgb(FLAGGED)
