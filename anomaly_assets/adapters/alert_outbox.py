"""Alerts that wait in the home until every receiver has taken them: one that does not answer loses none."""

import json
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path

from anomaly_assets.adapters.alerts import AlertTargets, key_of
from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.locks import Lease, exclusive
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.domain.forgetting import Forgotten
from anomaly_assets.domain.identity import JsonObject

GIVE_UP_AFTER = timedelta(days=7)
"""How long an alert is tried; longer than a weekend and a holiday."""
LOCK_SECONDS = 60
_TEXTS = frozenset({"message", "steps"})
"""What of an alert was written by a step."""


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
    alert: JsonObject
    since: datetime
    to: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "_Letter":
        values = json.loads(path.read_bytes())
        return cls(path, values["alert"], datetime.fromisoformat(values["since"]), tuple(values["to"]))

    @property
    def event(self) -> str:
        """What it tells of."""
        return str(self.alert["event"])

    def waits_for(self, receiver: str, event: str) -> bool:
        """Whether a receiver of such events has not got it."""
        return self.event == event and receiver in self.to

    def to_some(self, receivers: Collection[str]) -> "_Letter":
        return replace(self, to=tuple(name for name in self.to if name in receivers))

    def write(self) -> None:
        values = {"alert": dict(self.alert), "since": self.since.isoformat(), "to": list(self.to)}
        write_atomically(self.path, json.dumps(values, sort_keys=True).encode())


class AlertOutbox:
    """The folder of alerts that wait, one file for each failed run and each missing day."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def given_up(self) -> Path:
        """Folder of alerts that nobody took in time."""
        return self.folder / "given_up"

    def put(self, alert: JsonObject, targets: AlertTargets, *, at: datetime) -> None:
        """Let an alert wait for every receiver; one that waits already goes on waiting."""
        path = self.folder / f"{key_of(alert)}.json"
        if not path.exists():
            _Letter(path, alert, at, targets.receivers).write()

    def deliver(self, targets: AlertTargets, *, at: datetime) -> Delivery:
        """Send each receiver what it has not, the oldest first; at least once, whatever ends this process.

        A receiver that is not configured any more is waited for no longer.
        """
        with self._locked():
            before = self._waiting()
            waiting = [letter.to_some(targets.receivers) for letter in before]
            self._keep(before, waiting)
            problems = []
            for receiver, event in product(targets.receivers, dict.fromkeys(letter.event for letter in before)):
                due = [letter.alert for letter in waiting if letter.waits_for(receiver, event)]
                try:
                    if due:
                        targets.send(receiver, due)
                except (AnomalyAssetsError, OSError) as error:
                    problems.append(str(error))
                    continue
                sent = [
                    letter.to_some(set(letter.to) - {receiver}) if letter.event == event else letter
                    for letter in waiting
                ]
                self._keep(waiting, sent)  # before the next one is asked: who has it is not sent it again
                waiting = sent
            late = [letter for letter in waiting if letter.to and at - letter.since >= GIVE_UP_AFTER]
            for letter in late:
                replace(letter, path=self.given_up / letter.path.name).write()
                letter.path.unlink()
        left = sum(1 for letter in waiting if letter.to) - len(late)
        return Delivery(len(before) - left - len(late), left, len(late), "; ".join(dict.fromkeys(problems)))

    def forget(self, forgotten: Forgotten) -> int:
        """Take an erased wallet out of alerts that wait or were given up; returns how many changed."""
        changed = 0
        if self._files():
            with self._locked():
                for letter in map(_Letter.read, self._files()):
                    again = replace(letter, alert=forgotten.without_in(letter.alert, _TEXTS))
                    if again != letter:
                        again.write()
                        changed += 1
        return changed

    def _locked(self) -> AbstractContextManager[Lease]:
        return exclusive(self.folder / "outbox.lock", timeout_seconds=LOCK_SECONDS)

    def _files(self) -> list[Path]:
        return sorted([*self.folder.glob("*.json"), *self.given_up.glob("*.json")])

    def _waiting(self) -> list[_Letter]:
        letters = [_Letter.read(path) for path in sorted(self.folder.glob("*.json"))]
        return sorted(letters, key=lambda letter: (letter.since, letter.path.name))

    @staticmethod
    def _keep(before: list[_Letter], after: list[_Letter]) -> None:
        for old, new in zip(before, after, strict=True):
            if not new.to:
                new.path.unlink(missing_ok=True)
            elif new != old:
                new.write()
