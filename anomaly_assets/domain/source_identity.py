"""What makes a source the one a home is bound to, and what of that is only where it lies."""

from collections.abc import Mapping, Sequence

from anomaly_assets.domain.identity import Json, JsonObject

PLACES: Mapping[str, tuple[str, ...]] = {"files": ("path",), "snowflake": ("account", "table")}
"""Per kind of source the keys of its identity that say where it lies. Whatever else differs makes it another source."""


def place_of(source: JsonObject) -> dict[str, Json]:
    """Where a source lies, of its identity; empty for one that lies nowhere."""
    return {key: source[key] for key in PLACES.get(str(source.get("kind", "")), ()) if key in source}


def differs_in_place_only(found: JsonObject, wanted: JsonObject) -> bool:
    """Whether two identities that differ are those of one source at two places, as far as they can tell."""
    place = place_of(found)
    return bool(place) and place.keys() == place_of(wanted).keys() and {**found, **place_of(wanted)} == wanted


def differences(found: JsonObject, wanted: JsonObject) -> tuple[str, str]:
    """What differs, as it is on either side: keys with their values, ``no KEY`` where there is none.

    Of sources of two kinds no more than that is told: their other keys say different things.
    """
    mine, theirs = _flat(found), _flat(wanted)
    keys = [key for key in sorted({*mine, *theirs}) if (key in mine, mine.get(key)) != (key in theirs, theirs.get(key))]
    if "kind" in keys:
        keys = [key for key in keys if key in {"kind", "first_day"}]
    return _told(mine, keys), _told(theirs, keys)


def _told(values: JsonObject, keys: Sequence[str]) -> str:
    return ", ".join(f"{key} {values[key]!r}" if key in values else f"no {key}" for key in keys)


def _flat(values: JsonObject, prefix: str = "") -> dict[str, Json]:
    flat: dict[str, Json] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat
