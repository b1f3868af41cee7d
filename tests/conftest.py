"""What holds after every test, wherever it is."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _no_instance_is_left_current() -> Iterator[None]:
    """Dagster asks the instance that was entered last whatever definitions load; one that is gone fails later tests."""
    yield
    module = sys.modules.get("dagster._core.storage.defs_state.base")
    left = module.DefsStateStorage.get() if module else None
    if left:
        module._current_storage.set(None)
    assert left is None, f"an instance was entered and not left: {left._instance.root_directory}"
