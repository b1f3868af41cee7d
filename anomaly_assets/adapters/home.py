"""A home: one folder with everything a deployment writes, bound to one source and first day.

{root}/home.json                   identity of the home
{root}/lake/                       sealed partitions (in lake/trials/ of runs with other settings, up to 0.3.0)
{root}/models/                     archive of model payloads
{root}/output/                     published days: labeled_transactions_YYYYMMDD.parquet
{root}/settings/                   settings by their id: what proves results later
{root}/erasures/                   which wallets were erased, by salted digests
{root}/source_days/                data files in order of day, made again whenever they are needed
{root}/digests/                    counts and flagged rows of scored days, for pages; made again when needed
{root}/truth/                      planted anomalies of the synthetic source, never read by the pipeline
{root}/publication_log.jsonl       chained record of every publication
{root}/verifications.jsonl         what was verified again, when, with which outcome; counts only
{root}/locks/  dagster/  store/    locks, Dagster's own home, the embedded store
"""

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Final, Literal, NotRequired, TypedDict

from anomaly_assets.adapters.alert_outbox import AlertOutbox
from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.erasures import Erasures
from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.heartbeats import Heartbeats
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.locks import Lease, exclusive
from anomaly_assets.adapters.model_archive import ModelArchive
from anomaly_assets.adapters.object_path import AnyPath, ObjectPath, listed
from anomaly_assets.adapters.private_files import open_to_readers
from anomaly_assets.adapters.publication_log import MOVE, PublicationLog
from anomaly_assets.adapters.store_pending import StorePending
from anomaly_assets.domain.errors import CorruptFile, HomeMismatch, require_known_format
from anomaly_assets.domain.identity import Json, JsonObject, canonical_json, digest_of
from anomaly_assets.domain.source_identity import differences, differs_in_place_only, place_of
from anomaly_assets.settings.home_detectors import DETECTORS, is_list_of_detectors

HOME_FORMAT_VERSION = 1
_CLAIM_TIMEOUT_SECONDS = 60.0
PARTS: tuple[Literal["lake", "output"], ...] = ("lake", "output")
"""What may lie in an object store."""
_KEYS = {"home_id", "source", "source_id", "first_day"}
_PLACE: Final = "place"
_FROM_HOME: Final = "source_from_home"
"""Keys of ``home.json`` that a move changes: where the source lies now, if not where its identity says, and how it is
reached from the home, where the settings name it relative to themselves."""


class HomeRecord(TypedDict):
    """What ``home.json`` says. Newer releases may add keys, which are kept."""

    format: int
    home_id: str
    source: JsonObject
    source_id: str
    first_day: str
    place: NotRequired[JsonObject]
    source_from_home: NotRequired[str]
    lake: NotRequired[str]
    output: NotRequired[str]
    detectors: NotRequired[Sequence[str]]


class Standing(Enum):
    """What a configured source is to a home."""

    SAME = "same"
    """The one it is bound to, at the place that is recorded, or moved together with the home."""
    ALIKE = "alike"
    """Perhaps that one: the place that is recorded ends with the path that the settings give relative to themselves."""
    MOVED = "moved"
    """Perhaps that one: nothing but the place differs."""
    OTHER = "other"
    """Another one."""


@dataclass(frozen=True)
class Home:
    """Paths and stores of one deployment; nothing is created before it is used.

    Parameters
    ----------
    root : its folder
    elsewhere : where an object store holds the lake (``lake``) or the published days (``output``) of a new home; the
        first ingest writes it into ``home.json``, which decides from then on
    settings_folder : the folder that relative paths of the settings start from; None: none of them is relative
    output_readers : who may read published days beside those who work in the home: a group, or ``everyone``
    detectors : who judges in a new home, by name; the first ingest writes it into ``home.json``
    """

    root: Path
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    settings_folder: Path | None = None
    output_readers: str | None = None
    detectors: Sequence[str] = ()

    @property
    def output(self) -> AnyPath:
        """Folder of the published days."""
        return self._place("output")

    def _place(self, part: str) -> AnyPath:
        known: Mapping[str, object] = self.record() or self.elsewhere
        location = known.get(part)
        return self.root / part if location is None else ObjectPath.of(str(location))

    @property
    def settings(self) -> Path:
        """Folder of the settings that results were made with."""
        return self.root / "settings"

    @property
    def truth(self) -> Path:
        """Folder of planted anomalies."""
        return self.root / "truth"

    @property
    def source_days(self) -> Path:
        """Folder of data files in order of day."""
        return self.root / "source_days"

    @property
    def digests(self) -> Path:
        """Folder of digests of scored days."""
        return self.root / "digests"

    @property
    def alerts(self) -> AlertOutbox:
        """Alerts that were not sent yet."""
        return AlertOutbox(self.root / "alerts")

    @property
    def heartbeats(self) -> Heartbeats:
        """Which runs are alive."""
        return Heartbeats(self.root / "runs")

    @property
    def store(self) -> Path:
        """Data folder of the embedded store."""
        return self.root / "store"

    @property
    def store_pending(self) -> StorePending:
        """What the model store is still to be told."""
        return StorePending(self.root / "store_pending")

    @property
    def lake(self) -> Lake:
        """The published lake."""
        return Lake(self._place("lake"), self.root / "locks")

    def trial_lake(self, settings_id: str) -> Lake:
        """A lake apart, where releases up to 0.3.0 put runs with other settings: kept as it is, and erased from."""
        name = settings_id[:16]
        return Lake(self._place("lake") / "trials" / name, self.root / "locks" / "trials" / name)

    @property
    def lakes(self) -> list[Lake]:
        """The published lake, then those of trials."""
        trials = [path.name for path in listed(self.lake.root / "trials", "*") if path.is_dir()]
        return [self.lake, *map(self.trial_lake, trials)]

    @property
    def erasures(self) -> Erasures:
        """Wallets that were erased."""
        record = self.record()
        return Erasures(self.root / "erasures", salt=str(record["home_id"]) if record else "")

    @property
    def models(self) -> ModelArchive:
        """The archive of model payloads."""
        return ModelArchive(self.root / "models")

    @property
    def log(self) -> PublicationLog:
        """The publication log."""
        return PublicationLog(self.root / "publication_log.jsonl")

    def published_path(self, day: date) -> AnyPath:
        """Path of the published scores of ``day``."""
        return self.output / f"labeled_transactions_{day:%Y%m%d}.parquet"

    def published_mode(self) -> int | None:
        """Permissions of days that are published from now on; None: as everything in the home.

        Lets the readers that the settings name into the folder.
        """
        output = self.output
        if self.output_readers is None or isinstance(output, ObjectPath):
            return None
        return open_to_readers(output, self.root, self.output_readers)

    def scores_receipt(self, day: date) -> Path:
        """Path of the record of which scores of ``day`` a table elsewhere holds."""
        return self.root / "published_scores" / f"{day.isoformat()}.json"

    @property
    def home_id(self) -> str:
        """Random name of this home, the same for its whole life."""
        return str(self.bound_record()["home_id"])

    def bound_record(self) -> HomeRecord:
        """What ``home.json`` says. Raises ``HomeMismatch`` before the first ingest."""
        record = self.record()
        if record is None:
            raise HomeMismatch(f"{self.root} is not a home yet", remedy="ingest a day first")
        return record

    def record(self) -> HomeRecord | None:
        """What ``home.json`` says; None before the first ingest."""
        path = self.root / "home.json"
        try:
            value = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise CorruptFile(
                f"{path.name} of the home is not JSON: {error}", remedy="restore it from a copy"
            ) from None
        try:
            version = value.get("format") if isinstance(value, dict) else None
            require_known_format(f"{path.name} of the home", version, HOME_FORMAT_VERSION)
            if missing := _KEYS - value.keys():
                raise ValueError(f"it lacks {sorted(missing)}")  # noqa: TRY301 - one remedy for all
            if DETECTORS in value and not is_list_of_detectors(value[DETECTORS]):
                raise ValueError(f"{DETECTORS} is {value[DETECTORS]!r}")  # noqa: TRY301
        except ValueError as error:
            raise CorruptFile(
                f"{path.name} of the home is not a home's: {error}", remedy="restore it from a copy"
            ) from None
        record: HomeRecord = value
        return record

    def claim(self, source: JsonObject, first_day: date) -> None:
        """Bind the home to ``source`` and ``first_day`` at the first ingest; afterwards refuse any other.

        Raises ``HomeMismatch`` that tells what differs.
        """
        with self._locked():
            record = self.record()
            if record is None:
                fresh = {
                    "format": HOME_FORMAT_VERSION,
                    "home_id": secrets.token_hex(8),
                    "source": dict(source),
                    "source_id": digest_of(dict(source)),
                    "first_day": first_day.isoformat(),
                    **self._from_home(source),
                    **self.elsewhere,
                    **({DETECTORS: list(self.detectors)} if self.detectors else {}),
                }
                self._write(fresh)
                return
            if self.standing(source, first_day) is not Standing.SAME:
                raise self.mismatch(source, first_day)
            self._require_places(record)

    def bound_source(self, source: JsonObject) -> JsonObject:
        """The identity that seals name: that of the source the home was bound to, wherever it lies now.

        ``source`` is that of a home that is not bound yet.
        """
        record = self.record()
        return dict(source if record is None else record["source"])

    def standing(self, source: JsonObject, first_day: date) -> Standing:
        """What ``source`` is to the home, from what both tell of themselves; none of its rows is read."""
        record = self.record()
        if record is None:
            return Standing.SAME
        now = _source_now(record)
        if record["first_day"] != first_day.isoformat():
            return Standing.OTHER
        if now == source:
            return Standing.SAME
        if not differs_in_place_only(now, source):
            return Standing.OTHER
        # Reached from the home as it always was: both moved together. The path alone, however alike, is not enough: a
        # settings file that was copied to another project names the same home and, relative to itself, another source.
        relative = self._from_home(source)
        if relative and relative.get(_FROM_HOME) == record.get(_FROM_HOME):
            return Standing.SAME
        given, recorded = self._as_given(source), f"/{now.get('path')}"
        is_alike = given and recorded.endswith(f"/{given}") and "://" not in recorded
        return Standing.ALIKE if is_alike else Standing.MOVED

    def mismatch(self, source: JsonObject, first_day: date) -> HomeMismatch:
        """The error that tells how a source or first day differs from that of the home, and what to do."""
        record = self.bound_record()
        found, wanted = differences(
            {**_source_now(record), "first_day": record["first_day"]},
            {**source, "first_day": first_day.isoformat()},
        )
        other = "use another home (--home, or `home` in anomaly.yaml)"
        if self.standing(source, first_day) is Standing.OTHER:
            remedy = f"{other}, or the settings it was made with"
        else:
            remedy = f"anomaly-assets source moved, if it is the same source at another place; else {other}"
        return HomeMismatch(
            f"the home {self.root} is bound to {found}",
            expected=f"{wanted}, as the settings say",
            remedy=remedy,
        )

    def move_source(self, source: JsonObject, *, days: Sequence[date], run_id: str, at: datetime) -> str:
        """Write down that the home's source lies elsewhere: into the log, then into ``home.json``; returns the head.

        The identity that the home is bound to stays. Whoever is killed between the two does it again: an entry that is
        the last one is not repeated.

        Parameters
        ----------
        source : identity of the source where it is now; but for its place that of the home
        days : which sealed days were read there and found the same
        """
        with self._locked():
            record = self.bound_record()
            now, wanted, first_day = _source_now(record), dict(source), date.fromisoformat(record["first_day"])
            standing = self.standing(wanted, first_day)
            if standing is Standing.OTHER:
                raise self.mismatch(wanted, first_day)
            if standing is Standing.SAME:  # another run was quicker
                return self.log.head()
            moved = {"from": place_of(now), "to": place_of(wanted)}
            last = self.log.last()
            if last is None or any(last.get(key) != value for key, value in {"kind": MOVE, **moved}.items()):
                entry = {"kind": MOVE, **moved, "days": [day.isoformat() for day in days]}
                self.log.append(entry, run_id=run_id, at=at)
            failpoint(f"{MOVE}.logged")
            kept = {key: value for key, value in record.items() if key not in {_PLACE, _FROM_HOME}}
            place = {} if wanted == record["source"] else {_PLACE: place_of(wanted)}
            self._write({**kept, **place, **self._from_home(wanted)})
            return self.log.head()

    def _as_given(self, source: JsonObject) -> str | None:
        """The path of a source of files as the settings give it relative to their folder; None when it is whole."""
        path = source.get("path")
        if self.settings_folder is None or not isinstance(path, str) or "://" in path:
            return None
        folder = f"{str(self.settings_folder).rstrip('/')}/"
        return path.removeprefix(folder) if path.startswith(folder) else None

    def _from_home(self, source: JsonObject) -> dict[str, str]:
        """What is recorded of how the source is reached from the home; nothing when its path is whole."""
        return {} if self._as_given(source) is None else {_FROM_HOME: os.path.relpath(str(source["path"]), self.root)}

    def _require_places(self, record: HomeRecord) -> None:
        """Raise ``HomeMismatch`` when the settings look for parts elsewhere than they are; parameters may change."""
        for part in PARTS:
            found, wanted = record.get(part), self.elsewhere.get(part)
            if _location(found) != _location(wanted):
                raise HomeMismatch(
                    f"the {part} of {self.root} is at {_location(found) or self.root / part}",
                    expected=f"{_location(wanted) or self.root / part}, as storage.{part} says",
                    remedy=f"set storage.{part} as it was, or use another home",
                )
        if any(record.get(part) != self.elsewhere.get(part) for part in PARTS):
            self._write({**record, **self.elsewhere})

    def _locked(self) -> AbstractContextManager[Lease]:
        return exclusive(self.root / "locks" / "home.lock", timeout_seconds=_CLAIM_TIMEOUT_SECONDS)

    def _write(self, record: Mapping[str, object]) -> None:
        write_atomically(self.root / "home.json", canonical_json(dict(record)) + b"\n", locked=True)


def _source_now(record: HomeRecord) -> dict[str, Json]:
    """The identity of the home's source, with the place where it lies now."""
    return {**record["source"], **record.get(_PLACE, {})}


def _location(uri: str | None) -> str | None:
    return None if uri is None else uri.partition("?")[0].rstrip("/")
