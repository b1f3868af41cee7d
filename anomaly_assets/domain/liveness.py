"""Which runs have been silent for too long to be alive."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

SILENT_FOR = timedelta(seconds=60)
"""Six heartbeats."""
NEVER_HEARD_FOR = timedelta(seconds=90)
"""The same for who has not begun to tell: on a busy machine a process takes long to load."""
PAUSE = 2 * SILENT_FOR
"""Who has not looked for longer begins again: the machine may have slept, and with it what it looks at."""


class Heard(NamedTuple):
    """A run's last heartbeat (None: none yet), and when it was seen first and last, by the clock of who looks."""

    beat: int | None
    since: datetime
    until: datetime


def listen(
    beats: Mapping[str, int | None], before: Mapping[str, Heard], now: datetime
) -> tuple[dict[str, Heard], list[str]]:
    """What is heard of runs now, and those that are dead: their beat has not changed for ``SILENT_FOR``,
    or has not come for ``NEVER_HEARD_FOR``.

    Only one clock is asked, that of who looks: a beat is a number that changes, not a moment.

    Parameters
    ----------
    beats : run id to its beat now
    before : what was heard when somebody looked last
    now : the moment, zone-aware
    """
    heard = {run_id: _again(beat, before.get(run_id), now) for run_id, beat in beats.items()}
    dead = sorted(run_id for run_id, each in heard.items() if now - each.since >= _patience(each))
    return {run_id: each for run_id, each in heard.items() if run_id not in dead}, dead


def _patience(heard: Heard) -> timedelta:
    return NEVER_HEARD_FOR if heard.beat is None else SILENT_FOR


def _again(beat: int | None, before: Heard | None, now: datetime) -> Heard:
    is_silent = before is not None and before.beat == beat and now - before.until <= PAUSE
    return Heard(beat, before.since if before and is_silent else now, now)
