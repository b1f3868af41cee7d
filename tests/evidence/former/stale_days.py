"""As it was."""

from collections.abc import Callable
from datetime import date, timedelta


def stale_days(corrected: date, window_days: int, sealed: Callable[[date], bool], last: date) -> list[date]:
    """Days after ``corrected`` (up to ``last``) whose models were trained on it, and the day itself if it was scored.

    A correction of raw day R makes windows and models of R+1..R+window_days and scores of R..R+window_days stale.
    """
    affected = (corrected + timedelta(days=offset) for offset in range(window_days + 1))
    return [day for day in affected if day <= last and sealed(day)]
