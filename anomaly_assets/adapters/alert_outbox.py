"""Alerts that wait in the home until every receiver has taken them: one that does not answer loses none."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from anomaly_assets.adapters.alerts import AlertTargets
from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.domain.errors import AnomalyAssetsError

GIVE_UP_AFTER = timedelta(days=7)
"""How long an alert is tried; longer than a weekend and a holiday."""
LOCK_SECONDS = 60


@dataclass(frozen=True)
class Delivery:
    """What became of the alerts that waited.

    Parameters
    ----------
    delivered : alerts that every receiver has now
    waiting : alerts that some receiver has not
    given_up : alerts that waited too long; they are kept in ``given_up``
    problem : what went wrong, empty when nothing did
    """

    delivered: int
    waiting: int
    given_up: int
    problem: str


@dataclass(frozen=True)
class _Letter:
    path: Path
    alert: Mapping[str, Any]
    since: datetime
    to: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "_Letter":
        values = json.loads(path.read_bytes())
        return cls(path, values["alert"], datetime.fromisoformat(values["since"]), tuple(values["to"]))

    def write(self) -> None:
        values = {"alert": dict(self.alert), "since": self.since.isoformat(), "to": list(self.to)}
        write_atomically(self.path, json.dumps(values, sort_keys=True).encode())


class AlertOutbox:
    """The folder of alerts that wait, one file for each failed run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def given_up(self) -> Path:
        """Folder of alerts that nobody took in time."""
        return self.folder / "given_up"

    def files(self) -> list[Path]:
        """Every alert that waits or was given up."""
        return sorted([*self.folder.glob("*.json"), *self.given_up.glob("*.json")])

    def put(self, alert: Mapping[str, Any], targets: AlertTargets, *, at: datetime) -> None:
        """Let an alert wait for every receiver; one that waits already goes on waiting."""
        path = self.folder / f"{alert['run_id']}.json"
        if not path.exists():
            _Letter(path, alert, at, targets.receivers).write()

    def deliver(self, targets: AlertTargets, *, at: datetime) -> Delivery:
        """Send each receiver what it has not, the oldest first; at least once, whatever ends this process.

        A receiver that is not configured any more is waited for no longer.
        """
        with exclusive(self.folder / "outbox.lock", timeout_seconds=LOCK_SECONDS):
            before = self._waiting()
            waiting = [replace(letter, to=tuple(n for n in letter.to if n in targets.receivers)) for letter in before]
            problems = []
            for receiver in targets.receivers:
                due = [letter for letter in waiting if receiver in letter.to]
                try:
                    if due:
                        targets.send(receiver, [letter.alert for letter in due])
                except (AnomalyAssetsError, OSError) as error:
                    problems.append(str(error))
                    continue
                waiting = [replace(each, to=tuple(n for n in each.to if n != receiver)) for each in waiting]
                self._keep(waiting)
            self._keep(waiting)
            late = [letter for letter in waiting if letter.to and at - letter.since >= GIVE_UP_AFTER]
            for letter in late:
                replace(letter, path=self.given_up / letter.path.name).write()
                letter.path.unlink()
        left = sum(1 for letter in waiting if letter.to) - len(late)
        return Delivery(len(before) - left - len(late), left, len(late), "; ".join(problems))

    def _waiting(self) -> list[_Letter]:
        letters = [_Letter.read(path) for path in sorted(self.folder.glob("*.json"))]
        return sorted(letters, key=lambda letter: (letter.since, letter.path.name))

    @staticmethod
    def _keep(letters: list[_Letter]) -> None:
        for letter in letters:
            if letter.to:
                letter.write()
            else:
                letter.path.unlink(missing_ok=True)
