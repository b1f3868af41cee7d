"""What is looked at after every test, what is never looked through for garbage, and that no property is timed."""

import gc
from collections.abc import Iterator

import pytest
from after_every_test import no_instance_is_left_current, umask_stays  # noqa: F401 - fixtures
from hypothesis import HealthCheck, settings

# how long an example takes is the machine's business: other tests run beside it
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect tests first and garbage afterwards: modules stay to the end, and each look at them takes longer."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
