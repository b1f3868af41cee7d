"""What a trace tells, as values: days, models, training data, files, runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from anomaly_assets.domain.families import DETECTION
from anomaly_assets.domain.identity import Json, JsonObject
from anomaly_assets.domain.model_reference import ModelReference
from anomaly_assets.domain.scored_row import ScoredRow
from anomaly_assets.domain.settings_record import SettingsRecord
from anomaly_assets.evidence.lookup import Place
from anomaly_assets.evidence.since import Since


@dataclass(frozen=True)
class TracedModel:
    """The model that judged a row.

    Parameters
    ----------
    archived : whether its payload is kept
    recipe_id : digest of what it was fitted from
    n_transactions : rows it was fitted on
    n_bytes : size of its payload
    summary : its single numbers, canonical JSON
    parameters : the settings it was fitted with
    artifacts : digests of the population artifacts that it was fitted and judges with, by name
    """

    model_id: str
    archived: bool
    recipe_id: str
    n_transactions: int
    n_bytes: int
    summary: str
    parameters: JsonObject
    artifacts: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> JsonObject:
        """JSON form; of artifacts nothing is said where there are none."""
        return {name: value for name, value in vars(self).items() if name != "artifacts" or value}


@dataclass(frozen=True)
class TracedDetector:
    """What a detector said of a row, and by which model.

    Parameters
    ----------
    flag_line, typical : as the archived model gives them; None without one
    model : None when none judged
    missing : why the row cannot be judged again: what this release needs for it, or what cannot be read
    """

    detector: str
    status: str
    flagged: bool
    score: float | None
    flag_line: float | None = None
    typical: float | None = None
    model: TracedModel | None = None
    missing: str | None = None

    def as_json(self) -> JsonObject:
        """JSON form."""
        told = {name: value for name, value in vars(self).items() if name != "missing" or value is not None}
        return {**told, "model": None if self.model is None else self.model.as_json()}


@dataclass(frozen=True)
class TracedWallet:
    """A wallet's rows in a training window: how many, from when to when, and their digest."""

    n_transactions: int
    first_at: datetime
    last_at: datetime
    rows_digest: str

    def as_json(self) -> JsonObject:
        """JSON form."""
        return {**vars(self), "first_at": self.first_at.isoformat(), "last_at": self.last_at.isoformat()}


@dataclass(frozen=True)
class TracedWindow:
    """A training window as it is pinned, up to and without ``end``; ``wallet`` is None when it has no row there."""

    first: date
    end: date
    days_pinned: int
    days_missing: tuple[date, ...]
    manifest_id: str
    revision: str
    generation: int | None
    wallet: TracedWallet | None

    def as_json(self) -> JsonObject:
        """JSON form."""
        return {
            **vars(self),
            "first": self.first.isoformat(),
            "end": self.end.isoformat(),
            "days_missing": [day.isoformat() for day in self.days_missing],
            "wallet": None if self.wallet is None else self.wallet.as_json(),
        }


@dataclass(frozen=True)
class PublishedFile:
    """The published file of a day, by its name, and whether it holds the traced scores, byte for byte."""

    file: str
    is_these_scores: bool


@dataclass(frozen=True)
class SealedFile:
    """A file in the lake, by its path there, and the SHA-256 of its bytes."""

    file: str
    sha256: str


@dataclass(frozen=True)
class TracedFiles:
    """The published file, and what is sealed, by asset."""

    published: PublishedFile
    sealed: Mapping[str, SealedFile]

    def as_json(self) -> JsonObject:
        """JSON form."""
        sealed: dict[str, Json] = {asset: dict(vars(file)) for asset, file in self.sealed.items()}
        return {"published": dict(vars(self.published)), **sealed}


@dataclass(frozen=True)
class LoggedRun:
    """The run that first published something, as the publication log has it.

    Parameters
    ----------
    at : when, ISO 8601
    log_entry : hash of the entry
    release : of the run
    run_page, partition_page : paths in Dagster
    confirmed_again : how often the same was published since
    """

    run_id: str
    at: str
    log_entry: str
    release: str
    run_page: str
    partition_page: str
    confirmed_again: int = 0

    def again(self) -> "LoggedRun":
        """Confirmed once more."""
        return replace(self, confirmed_again=self.confirmed_again + 1)


def runs_as_json(runs: Mapping[str, LoggedRun | None]) -> JsonObject:
    """JSON form; null where the log names no run."""
    return {name: None if run is None else dict(vars(run)) for name, run in runs.items()}


@dataclass(frozen=True)
class TracedDay:
    """A day whose scores hold the transaction.

    Parameters
    ----------
    place : where the id is and was
    row : the published row
    detectors : in order of publication
    settings : those the day was scored with
    runs : by ``scored``, ``trained``, ``window`` and ``raw``; None where the log does not name it
    since : what happened to what the scores were made from
    looked_back : raw days that detectors looked back on, ascending, in the revision that was used; None: not there
    """

    place: Place
    row: ScoredRow
    detectors: Sequence[TracedDetector]
    window: TracedWindow
    settings: SettingsRecord
    files: TracedFiles
    runs: Mapping[str, LoggedRun | None]
    since: Since
    looked_back: Mapping[date, str | None] = field(default_factory=dict)

    @property
    def day(self) -> date:
        """The scored day."""
        return self.row.provenance.day

    @property
    def revision(self) -> str:
        """Revision of the scores."""
        return self.row.provenance.scores

    @property
    def settings_as_json(self) -> JsonObject:
        """The settings with their id."""
        return {"settings_id": self.row.provenance.settings_id, **self.settings.as_json()}

    def as_json(self) -> JsonObject:
        """JSON form."""
        row = self.row
        looked_back: Json = [
            {"day": day.isoformat(), "revision": revision} for day, revision in self.looked_back.items()
        ]
        return {
            "day": self.day.isoformat(),
            "scored": True,
            "revision": self.revision,
            "held_by": self.place.as_json(),
            "transaction": {
                "wallet_id": row.wallet_id,
                "completed_at": row.completed_at.isoformat(),
                "amount": row.amount,
                "organisation": row.org_name,
            },
            "verdict": {"is_anomaly": row.is_anomaly, "anomaly_score": row.anomaly_score, "reason": row.reason},
            "detectors": [detector.as_json() for detector in self.detectors],
            "training_window": self.window.as_json(),
            "raw_revision": row.provenance.raw,
            **({"looked_back": looked_back} if looked_back else {}),
            "settings": self.settings_as_json,
            "files": self.files.as_json(),
            "runs": runs_as_json(self.runs),
            "since": self.since.as_json(),
        }

    @property
    def looked_back_words(self) -> str:
        """Which days were looked back on, as a phrase; empty when none was."""
        if not self.looked_back:
            return ""
        count, missing = len(self.looked_back), list(self.looked_back.values()).count(None)
        lacking = f", {missing} of them not there" if missing else ""
        return f"{count} {'day' if count == 1 else 'days'} before it{lacking}"


@dataclass(frozen=True)
class UnscoredDay:
    """A day that holds the transaction, or held it, and whose current scores do not.

    Parameters
    ----------
    earlier_scores : revisions of its scores that were made from a raw day that held it
    remedy : what to do, with options of commands
    """

    place: Place
    earlier_scores: tuple[str, ...]
    remedy: str

    @property
    def day(self) -> date:
        """Which day."""
        return self.place.day

    def as_json(self) -> JsonObject:
        """JSON form."""
        return {
            "day": self.day.isoformat(),
            "scored": False,
            "held_by": self.place.as_json(),
            "earlier_scores": list(self.earlier_scores),
            "remedy": self.remedy,
        }


@dataclass(frozen=True)
class Trace:
    """What is known of a transaction.

    Parameters
    ----------
    days : every day that holds its id or held it, ascending
    error : why it cannot be traced; None when it was
    erasures : of an erased transaction what the log says of it, as sentences; None: it was not erased
    """

    tx_id: str
    days: Sequence[TracedDay | UnscoredDay]
    error: str | None = None
    erasures: tuple[str, ...] | None = None

    @property
    def models(self) -> Sequence[ModelReference]:
        """The models that judged it, by day and in order of publication."""
        scored = [day for day in self.days if isinstance(day, TracedDay)]
        judged_by = [(day, each.model) for day in scored for each in day.detectors if each.model is not None]
        return [ModelReference(DETECTION.name, day.row.wallet_id, model.model_id) for day, model in judged_by]

    def as_json(self) -> JsonObject:
        """JSON form of a transaction that was traced."""
        return {"tx_id": self.tx_id, "days": [day.as_json() for day in self.days]}
