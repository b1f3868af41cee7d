"""Frozen homes to read and to change."""

import os
from collections.abc import Iterator

import pytest

from compat.frozen import NAMES, Frozen, copied, unpacked


@pytest.fixture(scope="session", params=NAMES)
def frozen(request: pytest.FixtureRequest) -> Iterator[Frozen]:
    """Every frozen home, one after the other; only to be read or copied."""
    with unpacked(request.param) as home:
        yield home


@pytest.fixture
def changing(frozen: Frozen) -> Iterator[Frozen]:
    """A copy of its own, to be changed."""
    with copied(frozen) as copy:
        yield copy


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ANOMALY_", "REDIS_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
