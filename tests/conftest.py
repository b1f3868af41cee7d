"""What is looked at after every test, and what is never looked through for garbage."""

import gc
from collections.abc import Iterator

import pytest
from after_every_test import no_instance_is_left_current, umask_stays  # noqa: F401 - fixtures


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect tests first and garbage afterwards: modules stay to the end, and each look at them takes longer."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
