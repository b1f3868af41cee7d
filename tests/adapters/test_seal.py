"""A seal is read only when it is, byte for byte, what was sealed, and nothing blocking had failed."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.adapters.seal import FORMAT_VERSION, Seal, StoredFile
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.identity import canonical_json, digest_of
from anomaly_assets.domain.verdicts import Severity, Verdict

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DAY = date(2024, 2, 29)
PASSED = Verdict("schema", passed=True, message="fits", blocking=True, numbers={"rows": 3})
SEAL = Seal(
    "raw_transactions",
    DAY,
    revision="a" * 64,
    files={"transactions": StoredFile("transactions-0123.parquet", "b" * 64, 1234, 3)},
    inputs={"source": {"kind": "synthetic"}, "share": 0.25},
    counts={"n_in": 3},
    checks={PASSED.check: PASSED.as_json()},
    settings_id="c" * 64,
    generation=2,
)

JSON = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False)
)
NESTED = st.dictionaries(st.text(max_size=5), JSON | st.lists(JSON, max_size=3), max_size=3)


def test_a_seal_comes_back_as_it_was_written() -> None:
    assert Seal.from_bytes(SEAL.to_bytes(), "seal.json") == SEAL


@calm
@given(inputs=NESTED, counts=NESTED, generation=st.none() | st.integers(0), n_rows=st.integers(0))
def test_any_seal_comes_back_with_the_same_identity(
    inputs: dict[str, Any], counts: dict[str, Any], generation: int | None, n_rows: int
) -> None:
    files = {"x": StoredFile("x.parquet", "0" * 64, 1, n_rows)}
    seal = replace(SEAL, inputs=inputs, counts=counts, generation=generation, files=files)
    again = Seal.from_bytes(seal.to_bytes(), "seal.json")
    assert again == seal
    assert again.seal_id == seal.seal_id


def test_one_byte_changed_anywhere_is_found() -> None:
    content = SEAL.to_bytes()
    for place in range(len(content)):
        for flip in (0x01, 0x20, 0x80):
            with pytest.raises(CorruptFile, match=r"raw/seal\.json"):
                Seal.from_bytes(
                    content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :], "raw/seal.json"
                )


def test_a_seal_cut_short_or_continued_is_found() -> None:
    content = SEAL.to_bytes()
    for other in (b"", content[:-1], content[: len(content) // 2], content + b"\n", content + b" ", b" " + content):
        with pytest.raises(CorruptFile):
            Seal.from_bytes(other, "seal.json")


def test_a_field_changed_together_with_its_spelling_is_found_by_the_digest() -> None:
    value = json.loads(SEAL.to_bytes())
    with pytest.raises(CorruptFile, match="was changed after sealing"):
        Seal.from_bytes(canonical_json({**value, "generation": 3}) + b"\n", "seal.json")


def test_a_seal_of_another_format_version_says_so() -> None:
    value = json.loads(SEAL.to_bytes())
    del value["counts"]
    with pytest.raises(CorruptFile, match=f"format {FORMAT_VERSION + 1}\n.*format {FORMAT_VERSION}\n.*version of") as e:
        Seal.from_bytes(canonical_json({**value, "format": FORMAT_VERSION + 1}) + b"\n", "seal.json")
    assert "counts" not in str(e.value)


@pytest.mark.parametrize(
    "content",
    [
        b"null",
        b"[]",
        b"{}",
        b"3",
        b"\xff",
        b"[" * 100_000,
        b'{"seal_id": 1, "format": 1}',
        b'{"seal_id":NaN,"format":1}',
    ],
)
def test_what_is_no_seal_is_refused(content: bytes) -> None:
    with pytest.raises(CorruptFile):
        Seal.from_bytes(content, "seal.json")


def test_numbers_that_are_not_numbers_are_refused_even_with_a_digest() -> None:
    value = json.loads(SEAL.to_bytes())
    value["counts"] = {"x": float("nan")}
    with pytest.raises(CorruptFile):
        Seal.from_bytes(json.dumps(value).encode(), "seal.json")


def test_every_field_is_part_of_the_identity() -> None:
    others: list[dict[str, Any]] = [
        {"asset": "other"},
        {"day": date(2024, 3, 1)},
        {"revision": "d" * 64},
        {"files": {}},
        {"inputs": {}},
        {"counts": {}},
        {"checks": {}},
        {"settings_id": None},
        {"generation": None},
    ]
    ids = {replace(SEAL, **other).seal_id for other in others}
    assert len(ids | {SEAL.seal_id}) == len(others) + 1
    assert SEAL.seal_id == digest_of(SEAL.content)


@pytest.mark.parametrize(
    ("blocking", "passed", "severity", "refused"),
    [
        (True, False, Severity.ERROR, True),
        (True, True, Severity.ERROR, False),
        (True, False, Severity.WARN, False),
        (False, False, Severity.ERROR, False),
    ],
)
def test_a_seal_is_refused_exactly_when_a_blocking_check_failed(
    blocking: bool, passed: bool, severity: Severity, refused: bool
) -> None:
    verdict = Verdict("schema", passed, "m", severity, blocking)
    content = replace(SEAL, checks={"schema": verdict.as_json()}).to_bytes()
    assert verdict.blocks == refused
    if refused:
        with pytest.raises(
            NotSealed, match=r"raw_transactions of 2024-02-29 was sealed with failed checks \['schema'\]"
        ):
            Seal.from_bytes(content, "seal.json")
    else:
        Seal.from_bytes(content, "seal.json")
