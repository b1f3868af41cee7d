"""A home: one folder with everything a deployment writes, bound to one source and first day.

{root}/home.json                   identity of the home
{root}/lake/                       sealed partitions (and lake/trials/{settings_id}/ for runs with other settings)
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
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from anomaly_assets.adapters.alert_outbox import AlertOutbox
from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.erasures import Erasures
from anomaly_assets.adapters.heartbeats import Heartbeats
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.adapters.model_archive import ModelArchive
from anomaly_assets.adapters.object_path import AnyPath, ObjectPath, listed
from anomaly_assets.adapters.publication_log import PublicationLog
from anomaly_assets.domain.errors import CorruptFile, HomeMismatch, require_known_format
from anomaly_assets.domain.identity import canonical_json, digest_of

HOME_FORMAT_VERSION = 1
_CLAIM_TIMEOUT_SECONDS = 60.0
PARTS = ("lake", "output")
"""What may lie in an object store."""
_KEYS = {"home_id", "source", "source_id", "first_day"}


@dataclass(frozen=True)
class Home:
    """Paths and stores of one deployment; nothing is created before it is used.

    Parameters
    ----------
    root : its folder
    elsewhere : where an object store holds the lake (``lake``) or the published days (``output``) of a new home; the
        first ingest writes it into ``home.json``, which decides from then on
    """

    root: Path
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    @property
    def output(self) -> AnyPath:
        """Folder of the published days."""
        return self._place("output")

    def _place(self, part: str) -> AnyPath:
        location = (self.record() or self.elsewhere).get(part)
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
    def lake(self) -> Lake:
        """The published lake."""
        return Lake(self._place("lake"), self.root / "locks")

    def trial_lake(self, settings_id: str) -> Lake:
        """A lake apart, for detection runs whose settings differ from the home's."""
        name = settings_id[:16]
        return Lake(self._place("lake") / "trials" / name, self.root / "locks" / "trials" / name, base=self.lake)

    @property
    def lakes(self) -> list[Lake]:
        """The published lake, then those of trials."""
        trials = [path.name for path in listed(self.lake.root / "trials", "*") if path.is_dir()]
        return [self.lake, *map(self.trial_lake, trials)]

    @property
    def erasures(self) -> Erasures:
        """Wallets that were erased."""
        return Erasures(self.root / "erasures", salt=str((self.record() or {}).get("home_id", "")))

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

    def scores_receipt(self, day: date) -> Path:
        """Path of the record of which scores of ``day`` a table elsewhere holds."""
        return self.root / "published_scores" / f"{day.isoformat()}.json"

    @property
    def home_id(self) -> str:
        """Random name of this home, the same for its whole life."""
        record = self.record()
        if record is None:
            raise HomeMismatch(f"{self.root} is not a home yet", remedy="ingest a day first")
        return str(record["home_id"])

    def record(self) -> dict[str, Any] | None:
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
                raise ValueError(f"it lacks {sorted(missing)}")  # noqa: TRY301 - one remedy for both
        except ValueError as error:
            raise CorruptFile(
                f"{path.name} of the home is not a home's: {error}", remedy="restore it from a copy"
            ) from None
        record: dict[str, Any] = value
        return record

    def claim(self, source: Mapping[str, Any], first_day: date) -> None:
        """Bind the home to ``source`` and ``first_day`` at the first ingest; afterwards refuse any other.

        Raises ``HomeMismatch`` naming both.
        """
        wanted = {"source_id": digest_of(dict(source)), "first_day": first_day.isoformat()}
        with exclusive(self.root / "locks" / "home.lock", timeout_seconds=_CLAIM_TIMEOUT_SECONDS):
            record = self.record()
            if record is None:
                fresh = {
                    "format": HOME_FORMAT_VERSION,
                    "home_id": secrets.token_hex(8),
                    "source": dict(source),
                    **wanted,
                    **self.elsewhere,
                }
                self._write(fresh)
                return
            if any(record[key] != value for key, value in wanted.items()):
                raise HomeMismatch(
                    f"the home {self.root} belongs to source {record['source']} from {record['first_day']}",
                    expected=f"source {dict(source)} from {first_day}",
                    remedy="use another home (--home, or `home` in anomaly.yaml), or the settings it was made with",
                )
            self._require_places(record)

    def _require_places(self, record: Mapping[str, Any]) -> None:
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

    def _write(self, record: Mapping[str, Any]) -> None:
        write_atomically(self.root / "home.json", canonical_json(dict(record)) + b"\n", locked=True)


def _location(uri: str | None) -> str | None:
    return None if uri is None else uri.partition("?")[0].rstrip("/")
