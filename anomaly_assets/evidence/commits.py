"""Which commit made each partition what it is now: what the publication log tells of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from anomaly_assets.adapters.publication_log import COMMIT, LogEntry, PublicationLog, kind_of
from anomaly_assets.adapters.seal import Seal


@dataclass(frozen=True)
class Commit:
    """The newest commit of a partition.

    Parameters
    ----------
    seal_id : what it made current, or confirmed
    run_id, at : the run, and when
    head : of the log behind it
    changed : whether it made anything current that was not
    since : number of the log's line from which on this seal has been the current one
    """

    seal_id: str
    run_id: str
    at: datetime
    head: str
    changed: bool
    since: int

    @classmethod
    def of(cls, entry: LogEntry, before: "Commit | None") -> "Commit":
        """The commit of a line of the log; ``before`` is the partition's commit before it."""
        changed = before is None or before.seal_id != entry["seal_id"]
        since = entry["sequence"] if changed or before is None else before.since
        at = datetime.fromisoformat(entry["at"])
        return cls(entry["seal_id"], entry["run_id"], at, entry["hash"], changed, since)


@dataclass(frozen=True)
class Commits:
    """The newest commits by asset and day."""

    newest: Mapping[tuple[str, date], Commit]

    @classmethod
    def read(cls, log: PublicationLog) -> "Commits":
        """Those of the whole log. Raises ``CorruptFile`` at its first broken link."""
        newest: dict[tuple[str, date], Commit] = {}
        for entry in log.entries():
            if kind_of(entry) == COMMIT:
                key = entry["asset"], date.fromisoformat(entry["day"])
                newest[key] = Commit.of(entry, newest.get(key))
        return cls(newest)

    def of(self, seal: Seal) -> Commit | None:
        """The newest commit of a current seal; None when the log's last word on the partition is another seal's."""
        commit = self.newest.get((seal.asset, seal.day))
        return commit if commit is not None and commit.seal_id == seal.seal_id else None
