"""The picture of a z-score: mean, flag line and this amount stand where the detector has them."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.scored_row import DetectorResult, Provenance, ScoredRow
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.deviations_picture import deviations_picture
from anomaly_assets.evidence.explain import DetectorExplanation, Explanation, explain
from anomaly_assets.evidence.explain_picture import drawable, picture
from evidence.conftest import DAYS

DAY = DAYS[-1]
MARKED, LINE, MEAN = (0xD1, 0x49, 0x5B), (0x8A, 0x6D, 0x3B), (0x3B, 0x5B, 0x3B)
LEFT, WIDTH = 0.085 * 1080, 0.895 * 1080
"""Pixels of the axes."""


def explanation(amounts: list[float], amount: float, score: float, lines: list[float], scale: str) -> Explanation:
    """Of a wallet with these amounts in its window."""
    row = ScoredRow(
        tx_id="tx",
        wallet_id="w",
        completed_at=datetime(2024, 1, 18, 4, tzinfo=UTC),
        amount=amount,
        org_name=None,
        results={"statistical": DetectorResult("judged", True, score, "model")},
        is_anomaly=True,
        anomaly_score=0.75,
        reason="why",
        provenance=Provenance(DAY, "scores", "raw", "window", "models", "manifest", "settings"),
    )
    said = DetectorExplanation("statistical", "judged", True, score, score, 0.0, 3.5, "why", [[]] * 24, lines)
    history = WalletRows(["w"], np.array([0, len(amounts)]), np.arange(len(amounts)), np.array(amounts))
    return Explanation(row, DAY, 4, history, [said], [[]] * 24, None, None, scale)


def drawn_of(found: Explanation) -> bytes | None:
    """The picture of what the z-score says."""
    return deviations_picture(found, found.detectors[0])


def columns(png: bytes, color: tuple[int, int, int]) -> np.ndarray:
    """Columns of pixels of a colour within the axes, below the title and above the legend."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)[120:480]
    return np.flatnonzero((np.abs(pixels - color).sum(axis=2) <= 12).any(axis=0))


def test_the_marks_stand_at_their_amounts_on_the_scale() -> None:
    """On a linear scale: amounts 0..100, mean 50, flag line 150, this one 200; the axis adds 4 % at both ends."""
    drawn = drawn_of(explanation([0.0, 50.0, 100.0], 200.0, 5.25, [150.0], "none"))
    assert drawn is not None
    for color, value in ((MEAN, 50.0), (LINE, 150.0), (MARKED, 200.0)):
        place = LEFT + WIDTH * (value + 8.0) / 216.0
        assert np.median(columns(drawn, color)) == pytest.approx(place, abs=2.0), value


@pytest.mark.parametrize("scale", ["log1p", "signed_log1p", "none"])
@pytest.mark.parametrize(
    ("amounts", "amount", "lines"),
    [([5.0, 5.0], 5.0, [5.2]), ([1.0, 2.0, 1e9], 0.0, [4e9]), ([3.0] * 30, 1e15, []), ([0.0], 0.0, [])],
)
def test_alike_tiny_and_huge_amounts_can_be_drawn(
    scale: str, amounts: list[float], amount: float, lines: list[float]
) -> None:
    drawn = drawn_of(explanation(amounts, amount, 0.0, lines, scale))
    assert (drawn or b"").startswith(b"\x89PNG")


def test_refunds_can_be_drawn_with_both_flag_lines() -> None:
    drawn = drawn_of(explanation([-50.0, 20.0, 30.0], -900.0, -4.0, [-500.0, 700.0], "signed_log1p"))
    assert drawn is not None
    assert np.count_nonzero(np.diff(columns(drawn, LINE)) > 20) == 1, "two lines apart"


def test_a_scored_row_is_drawn_the_same_again_and_one_without_a_z_score_not_at_all(proved: Path) -> None:
    case = Case.of(Home(proved / "home"), DAY)
    rows = case.published.to_pylist()
    flagged = next(row["TX_ID"] for row in rows if row["statistical_anomaly"])
    assert drawn_of(explain(case, flagged)) == drawn_of(explain(case, flagged))
    unjudged = next(row["TX_ID"] for row in rows if row["statistical_status"] != "judged")
    assert drawn_of(explain(case, unjudged)) is None


def test_foreign_text_in_a_title_is_short_and_of_characters_the_font_has(proved: Path) -> None:
    assert drawable("東京 $x$") == "□□ \\$x\\$"
    assert drawable("a\x1b\n") == "a\\x1b\\n"
    assert len(drawable("x" * 300)) == 20
    found = explanation([1.0, 2.0], 9.0, 4.0, [5.0], "log1p")
    hostile = replace(found, row=replace(found.row, tx_id="$\\frac{$東\x1b", wallet_id="w" * 300))
    assert drawn_of(hostile) is not None
    assert picture(hostile).startswith(b"\x89PNG")
