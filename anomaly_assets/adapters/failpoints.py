"""Named points where a test may stop, kill or disturb a run: the way crashes are proved harmless.

A point costs a dictionary look-up when nothing is armed. ``ANOMALY_FAILPOINTS=wallet_models.sealed=kill`` arms a point
of a whole process with SIGKILL, ``=interrupt``, ``=terminate`` and ``=stop`` with their signals; ``armed`` arms one
with a callable inside a test.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from anomaly_assets.domain.errors import SettingsError

ENV = "ANOMALY_FAILPOINTS"
SIGNALS = {
    "kill": signal.SIGKILL,
    "interrupt": signal.SIGINT,
    "terminate": signal.SIGTERM,
    "stop": signal.SIGSTOP,
}
Action = Callable[[], None]
_actions: dict[str, Action] = {}


def failpoint(name: str) -> None:
    """Run what is armed at ``name``: usually nothing."""
    if _actions:
        _actions.get(name, _nothing)()
    if ENV in os.environ:
        _from_environment().get(name, _nothing)()


@contextmanager
def armed(name: str, action: Action) -> Iterator[None]:
    """Run ``action`` whenever the point ``name`` is passed inside the block."""
    _actions[name] = action
    try:
        yield
    finally:
        del _actions[name]


def _from_environment() -> dict[str, Action]:
    points = [item.rpartition("=") for item in os.environ[ENV].split(",") if item]
    wrong = ["".join(point) for point in points if not point[0] or point[2] not in SIGNALS]
    if wrong:
        raise SettingsError(
            f"{ENV} asks for {wrong}",
            expected="NAME=kill, NAME=interrupt, NAME=terminate or NAME=stop, several with commas between",
        )
    return {name: partial(_send, SIGNALS[action]) for name, _, action in points}


def _nothing() -> None:
    return None


def _send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
