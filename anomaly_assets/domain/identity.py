"""Canonical JSON and SHA-256 digests: equal content, equal identity.

Canonical JSON has sorted keys, no spaces and numbers as Python prints them; text is UTF-8. Arrays and tables have
theirs in ``domain/table_identity.py``.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""What a record, a line of a log or an answer to a program may hold."""
JsonObject: TypeAlias = Mapping[str, Json]
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
Part = tuple[int, Iterable[bytes | memoryview]]
"""How many bytes a part of a digest has, and these bytes, block by block."""


def canonical_json(value: Any) -> bytes:
    """``value`` as canonical JSON. Raises ``ValueError`` for NaN and infinities."""
    return _CANONICAL.encode(value).encode()


def digest(*parts: bytes) -> str:
    """Hex SHA-256 over ``parts``, each preceded by its length so that no two lists of parts collide."""
    return digest_of_parts(map(whole, parts))


def digest_of_parts(parts: Iterable[Part]) -> str:
    """The same of parts whose bytes need not be held together."""
    sha = hashlib.sha256()
    for n_bytes, blocks in parts:
        sha.update(n_bytes.to_bytes(8, "little"))
        for block in blocks:
            sha.update(block)
    return sha.hexdigest()


def whole(part: bytes) -> Part:
    """Bytes that are held together as a part."""
    return len(part), (part,)


def digest_of(value: Any) -> str:
    """Hex SHA-256 of ``value`` as canonical JSON."""
    return digest(canonical_json(value))


def sealed_json(value: JsonObject, key: str) -> bytes:
    """``value`` as a line of canonical JSON that holds its own digest under ``key``."""
    return canonical_json({**value, key: digest_of(value)}) + b"\n"


class ChangedContent(ValueError):
    """Sealed text is not the text that was sealed."""


def opened_json(content: bytes, key: str) -> dict[str, Any]:
    """The value of :func:`sealed_json`, whatever keys it has: integrity is that of the stored text.

    Raises ``ChangedContent`` when the text is not the one whose digest it holds, ``ValueError`` or ``KeyError`` when it
    is none at all.
    """
    value = json.loads(content)
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - a wrong text, whatever it parses to
    if canonical_json(value) + b"\n" != content:
        raise ChangedContent("it is no line of canonical JSON")
    claimed = value.pop(key)
    if claimed != (found := digest_of(value)):
        raise ChangedContent(f"its content has the digest {found}, and it holds {claimed}")
    return value


def file_digest(content: bytes) -> str:
    """Plain hex SHA-256 of a file's bytes, as ``sha256sum`` prints it."""
    return hashlib.sha256(content).hexdigest()
