"""Shares read alike wherever they are told."""

import pytest

from anomaly_assets.domain.detectors.wording import share_text


@pytest.mark.parametrize(
    ("share", "digits", "told"), [(0.12345, 2, "12.35%"), (1.0, 1, "100.0%"), (0.0, 2, "0.00%"), (None, 2, "-")]
)
def test_a_share_reads_in_percent_and_an_unknown_one_is_a_dash(share: float | None, digits: int, told: str) -> None:
    assert share_text(share, digits) == told
