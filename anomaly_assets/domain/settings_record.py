"""Settings records: what decided what was flagged, described so that later releases can read it.

A record is stored as canonical JSON. Its id, ``settings_id``, is the digest of the stored bytes, never of what today's
code makes of them. There are two versions, and a configuration is written in the oldest one that can express it:

- *1* has no ``format``: window, amount scale, and the settings of exactly ``statistical`` and ``isolation_forest``,
  both of algorithm version 1. What else there is to know of these two is frozen here.
- *2* names for each detector its algorithm version, fit settings, decision settings and columns, in the order of
  published columns, and the flag it counts for where that is not ``is_anomaly``.

A setting is left out at its neutral value (``domain.algorithms``), so one that came later changes no older id.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from anomaly_assets.domain.algorithms import IS_ANOMALY, Algorithm, Flag
from anomaly_assets.domain.errors import CorruptFile, require_known_format
from anomaly_assets.domain.identity import Json, JsonObject, canonical_json, digest, digest_of

_VERSION_1: Mapping[str, tuple[Algorithm, tuple[str, ...]]] = {
    "statistical": (
        Algorithm("statistical", 1, "zscore", ("amount_scale", "min_transactions")),
        ("min_transactions", "zscore_threshold", "two_sided"),
    ),
    "isolation_forest": (
        Algorithm(
            "isolation_forest",
            1,
            "isolation_forest_score",
            ("amount_scale", "min_transactions", "n_estimators", "max_samples", "contamination", "random_state"),
            (("hour_unseen", "bool"),),
        ),
        ("min_transactions", "n_estimators", "max_samples", "contamination", "random_state"),
    ),
}
"""What version 1 says without saying it, and the settings it always holds. Frozen: it describes what is stored."""


@dataclass(frozen=True)
class RecordedDetector:
    """One detector as a record describes it.

    Parameters
    ----------
    name, algorithm_version, score_column, extra_columns : as in ``domain.algorithms``
    fit : settings that shape models, the amount scale among them; what recipes are made of
    decision : settings that only decide which rows are flagged
    flag : the published flag that it counts for
    """

    name: str
    algorithm_version: int
    score_column: str
    extra_columns: tuple[tuple[str, str], ...]
    fit: JsonObject
    decision: JsonObject
    flag: Flag = IS_ANOMALY

    @classmethod
    def of(cls, algorithm: Algorithm, settings: JsonObject) -> "RecordedDetector":
        """``algorithm`` with these settings, the amount scale among them; those at their neutral value are left out."""
        told = algorithm.without_neutral(settings)
        fit = {key: told[key] for key in algorithm.fit_settings if key in told}
        decision = {key: value for key, value in told.items() if key not in fit}
        return cls(
            algorithm.detector,
            algorithm.version,
            algorithm.score_column,
            algorithm.extra_columns,
            fit,
            decision,
            algorithm.flag,
        )

    @property
    def fit_parameters(self) -> JsonObject:
        """The fit settings, as recipes and models hold them."""
        return self.fit

    @property
    def settings(self) -> JsonObject:
        """Fit and decision settings."""
        return {**self.fit, **self.decision}


@dataclass(frozen=True)
class SettingsRecord:
    """Everything that decided what was flagged.

    Parameters
    ----------
    content : the stored bytes, without the newline behind them
    window_days : length of the training window, days
    amount_scale : scale on which detectors compare amounts
    detectors : in the order of published columns
    """

    content: bytes
    window_days: int
    amount_scale: str
    detectors: tuple[RecordedDetector, ...]

    @property
    def settings_id(self) -> str:
        """Hex SHA-256 of the stored bytes."""
        return digest(self.content)

    @property
    def fit_settings(self) -> JsonObject:
        """What shapes windows and models, as canonical JSON."""
        return {
            "window_days": self.window_days,
            "detectors": {each.name: [each.algorithm_version, each.fit_parameters] for each in self.detectors},
        }

    @property
    def fit_id(self) -> str:
        """Hex SHA-256 of the settings that shape windows and models."""
        return digest_of(self.fit_settings)

    def as_json(self) -> JsonObject:
        """What is stored."""
        value: JsonObject = json.loads(self.content)
        return value


def settings_record(*, window_days: int, amount_scale: str, detectors: Iterable[RecordedDetector]) -> SettingsRecord:
    """The record of a configuration, in the oldest version that can express it."""
    listed = tuple(detectors)
    value = _value_1(window_days, amount_scale, listed) or _value_2(window_days, amount_scale, listed)
    return SettingsRecord(canonical_json(value), window_days, amount_scale, listed)


def read_settings_record(content: bytes) -> SettingsRecord:
    """The record in stored bytes, without the newline behind them.

    Raises ``CorruptFile`` when they hold no record, ``NeedsRelease`` when it is of a newer version.
    """
    try:
        value = json.loads(content)
        version = value.get("format", 1)
        require_known_format("a settings record", version, max(_READERS))
        return _READERS[version](content, value)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"it holds no settings: {error}", remedy="restore it from a copy") from None


def _value_1(window_days: int, amount_scale: str, detectors: tuple[RecordedDetector, ...]) -> JsonObject | None:
    """The configuration in version 1; None when that cannot express it."""
    if [each.name for each in detectors] != list(_VERSION_1):
        return None
    value: dict[str, Json] = {"amount_scale": amount_scale, "window_days": window_days}
    for each, (algorithm, keys) in zip(detectors, _VERSION_1.values(), strict=True):
        section = {key: each.settings[key] for key in keys if key in each.settings}
        same = RecordedDetector.of(algorithm, {"amount_scale": amount_scale, **section})
        if each != same or len(section) < len(keys):
            return None
        value[each.name] = section
    return value


def _read_1(content: bytes, value: Mapping[str, Any]) -> SettingsRecord:
    unknown = value.keys() ^ {"amount_scale", "window_days", *_VERSION_1}
    for name, (_, keys) in _VERSION_1.items():
        unknown |= value[name].keys() ^ set(keys)
    if unknown:
        raise ValueError(f"version 1 has other keys: {sorted(unknown)}")
    scale = value["amount_scale"]
    detectors = tuple(
        RecordedDetector.of(algorithm, {"amount_scale": scale, **value[name]})
        for name, (algorithm, _) in _VERSION_1.items()
    )
    return SettingsRecord(content, value["window_days"], scale, detectors)


def _value_2(window_days: int, amount_scale: str, detectors: tuple[RecordedDetector, ...]) -> JsonObject:
    return {
        "format": 2,
        "window_days": window_days,
        "amount_scale": amount_scale,
        "detectors": [
            {
                "name": each.name,
                "algorithm_version": each.algorithm_version,
                "score_column": each.score_column,
                "extra_columns": [list(column) for column in each.extra_columns],
                "fit": dict(each.fit),
                "decision": dict(each.decision),
                **({"flag": [each.flag.column, list(each.flag.of)]} if each.flag != IS_ANOMALY else {}),
            }
            for each in detectors
        ],
    }


def _read_2(content: bytes, value: Mapping[str, Any]) -> SettingsRecord:
    detectors = tuple(
        RecordedDetector(
            each["name"],
            each["algorithm_version"],
            each["score_column"],
            tuple((name, kind) for name, kind in each["extra_columns"]),
            each["fit"],
            each["decision"],
            _flag(each["flag"]) if "flag" in each else IS_ANOMALY,
        )
        for each in value["detectors"]
    )
    return SettingsRecord(content, value["window_days"], value["amount_scale"], detectors)


def _flag(value: list[Any]) -> Flag:
    column, names = value
    return Flag(column, tuple(names))


_READERS = {1: _read_1, 2: _read_2}
"""A reader for every version that was ever written."""
