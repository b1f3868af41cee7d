"""A seal is read only when it is, byte for byte, what was sealed, and nothing blocking had failed."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.adapters.seal import FORMAT_VERSION, SEAL_ID, Seal, StoredFile
from anomaly_assets.domain.errors import CorruptFile, NeedsRelease, NotSealed
from anomaly_assets.domain.identity import canonical_json, digest_of, sealed_json
from anomaly_assets.domain.lineage import Edge
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


def sealed(**others: Any) -> bytes:
    """A seal with these keys as well, whole."""
    return sealed_json({**SEAL.content, **others}, SEAL_ID)


def test_a_seal_of_a_newer_format_is_no_damage_and_names_who_reads_it() -> None:
    with pytest.raises(NeedsRelease, match=f"format {FORMAT_VERSION + 1}\n.*format {FORMAT_VERSION} at most"):
        Seal.from_bytes(sealed(format=FORMAT_VERSION + 1), "seal.json")
    changed = sealed().replace(b'"format":1', b'"format":3')
    with pytest.raises(CorruptFile):
        Seal.from_bytes(changed, "seal.json")


@calm
@given(NESTED)
def test_what_a_newer_release_tells_as_well_is_kept_as_it_is(more: dict[str, Any]) -> None:
    """Of the seal and of its files: the same bytes come out, and so the same id."""
    more = {f"more {key}": value for key, value in more.items()}
    files = {"transactions": {**SEAL.files["transactions"].as_json(), **more}}
    content = sealed(**more, files=files)
    seal = Seal.from_bytes(content, "seal.json")
    assert seal.to_bytes() == content
    assert (seal.others, seal.files["transactions"].others) == (more, more)
    assert (seal.asset, seal.counts) == (SEAL.asset, SEAL.counts)


def test_lineage_is_sealed_in_a_format_of_its_own_and_left_out_it_is_the_seal_of_before() -> None:
    edges = (Edge("raw_transactions", "2024-02-28", None), Edge.to_settings("c" * 64))
    with_lineage = replace(SEAL, made_from=edges)
    again = Seal.from_bytes(with_lineage.to_bytes(), "seal.json")
    assert (again, again.edges) == (with_lineage, edges)
    assert (with_lineage.content["format"], SEAL.content["format"]) == (2, 1)
    assert with_lineage.like(SEAL) == SEAL
    assert with_lineage.like(again) == with_lineage


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
        {"made_from": ()},
        {"layout": 2},
        {"others": {"more": 1}},
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
