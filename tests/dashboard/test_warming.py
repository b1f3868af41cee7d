"""What is read ahead is what first looks then find in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from anomaly_assets.adapters.home import Home
from anomaly_assets.dashboard import shell, warming
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.views.digests import PARTS


@pytest.fixture
def looked(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[shell.Deployment]:
    """The deployment of the dashboard, over a home of this test."""
    monkeypatch.setenv("ANOMALY_HOME", str(home.root))
    shell.deployment.clear()
    yield shell.deployment()
    shell.deployment.clear()


def test_digests_that_were_read_ahead_need_no_file_any_more(looked: shell.Deployment) -> None:
    days = looked.digests.days()
    for day in days[1:]:
        looked.digests.make(day)
    warming.warm()
    assert looked.digests.missing(days) == days[:1], "reading ahead makes none: who looks is told how far it is"
    for path in looked.home.digests.rglob("*.digest"):
        path.unlink()
    assert looked.digests.missing(days) == days[:1]
    assert looked.digests.read(PARTS[0], days[1:]).num_rows > 0


def test_of_packs_that_were_read_ahead_only_those_that_hold_a_model_are_opened(looked: shell.Deployment) -> None:
    days = looked.digests.days()
    held = next(iter(looked.home.models.ids(days[0])))
    warming.warm()
    for pack in looked.home.models.root.rglob("*.parquet"):
        pack.write_bytes(b"damaged")
    assert looked.home.models.look_up({day: {"0" * 64} for day in days}) == {}
    with pytest.raises(CorruptFile):
        looked.home.models.look_up({day: {held} for day in days})


def test_only_the_newest_days_are_read_ahead(looked: shell.Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "DAYS", 1)
    days = looked.digests.days()
    for day in days:
        looked.digests.make(day)
    warming.warm()
    for path in looked.home.digests.rglob("*.digest"):
        path.unlink()
    assert looked.digests.missing(days) == days[:-1]


def test_a_damaged_day_keeps_nobody_from_looking(looked: shell.Deployment) -> None:
    days = looked.digests.days()
    for day in days:
        looked.digests.make(day)
    path = looked.home.lake.folder(SCORED, days[-1]) / "seal.json"
    assert isinstance(path, Path)
    path.write_bytes(b"{}")
    warming.warm()
    for digest in looked.home.digests.rglob("*.digest"):
        digest.unlink()
    assert looked.digests.missing(days[:-1]) == []
    with pytest.raises(CorruptFile):
        looked.digests.missing(days)
