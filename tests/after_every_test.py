"""What holds after every test, wherever it is."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def no_instance_is_left_current() -> Iterator[None]:
    """Dagster asks the instance that was entered last whatever definitions load; one that is gone fails later tests.

    What a fixture of more tests entered stays.
    """
    before = _current()
    yield
    left = _current()
    if left is not before:
        _variable().set(before)  # the test that is at fault fails, and no other
        raise AssertionError(f"an instance was entered and not left: {left and left._instance.root_directory}")


@pytest.fixture(autouse=True)
def umask_stays() -> Iterator[None]:
    """A command that is called in this process sets the umask of its files, as it does in its own."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def _current() -> Any:
    """Storage of the instance that was entered last; None when there is none."""
    variable = _variable()
    return variable and variable.get()


def _variable() -> Any:
    """Where Dagster keeps it; None while nobody has imported Dagster."""
    module = sys.modules.get("dagster._core.storage.defs_state.base")
    return module and module._current_storage
