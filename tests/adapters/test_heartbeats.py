"""A run is seen alive while it goes on, and commits nothing once it was taken for dead."""

import time
from pathlib import Path

import pytest

from anomaly_assets.adapters.heartbeats import Heartbeats
from anomaly_assets.domain.errors import TakenForDead


def test_the_beat_changes_while_the_run_goes_on_and_is_gone_afterwards(tmp_path: Path) -> None:
    beats = Heartbeats(tmp_path / "runs")
    assert beats.last("r1") is None
    with beats.beating("r1", seconds=0.01):
        first = beats.last("r1")
        assert first is not None
        deadline = time.monotonic() + 30
        while beats.last("r1") == first and time.monotonic() < deadline:
            time.sleep(0.01)
        assert beats.last("r1") != first
        assert beats.last("r2") is None
    assert beats.last("r1") is None
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_run_that_was_taken_for_dead_is_refused_and_no_other(tmp_path: Path) -> None:
    beats = Heartbeats(tmp_path / "runs")
    with beats.beating("r1", seconds=0.01):
        beats.require_alive("r1")
        beats.take_for_dead("r1")
        time.sleep(0.05)
        assert beats.last("r1") is None
        with pytest.raises(TakenForDead, match="r1 was taken for dead"):
            beats.require_alive("r1")
        beats.require_alive("r2")
    with pytest.raises(TakenForDead):
        beats.require_alive("r1")
