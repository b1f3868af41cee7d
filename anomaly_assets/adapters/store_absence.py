"""That the model store was found away, remembered for a while, so that nobody waits for it again and again.

A store that does not answer costs its time-outs. A run opens it several times, a backfill some times a day: they wait
once, and ask again when it may have come back.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anomaly_assets.domain.errors import StoreUnavailable

FIRST_PAUSE_SECONDS = 60.0


class Absence:
    """What one process knows of a store that does not answer.

    After it was found away it is left alone for a minute, and each time it is still away for as long again as before:
    so an outage, however long, costs a process few waits, and a store that is back is found after as long as it was
    away.

    Parameters
    ----------
    clock : seconds of a clock that never goes back
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._error: StoreUnavailable | None = None
        self._pause, self._until = 0.0, 0.0

    @contextmanager
    def minded(self) -> Iterator[None]:
        """Use the store in here; raises ``StoreUnavailable`` at once while it is left alone."""
        if self._error is not None and self._clock() < self._until:
            raise StoreUnavailable(
                f"{self._error.found} (a moment ago: it is not waited for again so soon)",
                expected=self._error.expected,
                remedy=self._error.remedy,
            )
        try:
            yield
        except StoreUnavailable as error:
            self._error, self._pause = error, max(FIRST_PAUSE_SECONDS, 2 * self._pause)
            self._until = self._clock() + self._pause
            raise
        self._error, self._pause = None, 0.0
