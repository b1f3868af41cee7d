"""The storage format gives back what was stored and refuses everything else, executing and over-allocating nothing."""

import hashlib
import json
import math
import pickle  # noqa: TID251 - the attack that the format resists
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.detectors import DETECTORS
from anomaly_assets.domain.detectors.base import Model
from anomaly_assets.domain.errors import ModelFormatError, NeedsRelease
from anomaly_assets.domain.identity import canonical_json
from anomaly_assets.domain.model_codec import DTYPES, FORMAT_VERSION, MAGIC, decode, encode, resized
from anomaly_assets.domain.wallet_rows import WalletRows

PREFIX = struct.Struct("<8sHII")
START = PREFIX.size + 32
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
untimed = settings(deadline=None)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    dtype = np.dtype(draw(st.sampled_from(sorted(DTYPES))))
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=3)))
    size = math.prod(shape) * dtype.itemsize
    values = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype=dtype).reshape(shape)
    return np.nan_to_num(values) if dtype.kind == "f" else values


models = st.builds(
    Model, st.text(), st.dictionaries(st.text(), scalars, max_size=4), st.dictionaries(st.text(), arrays(), max_size=4)
)


def forest() -> Model:
    random = np.random.default_rng(1)
    window = WalletRows(
        ["w"],
        np.array([0, 120]),
        np.sort(random.integers(0, 180 * 24, 120)) * 3_600_000_000,
        random.lognormal(3, 1, 120),
    )
    return DETECTORS["isolation_forest"](n_estimators=5).fit(window, [0])[0]


FOREST = forest()
PAYLOAD = encode(FOREST)


def sealed(head: bytes, body: bytes, *, magic: bytes = MAGIC, version: int = FORMAT_VERSION) -> bytes:
    """A payload with right lengths and checksum around any header and body: what a forger can make."""
    prefix = PREFIX.pack(magic, version, len(head), len(body))
    return prefix + hashlib.sha256(prefix + head + body).digest() + head + body


def parts(payload: bytes) -> tuple[dict[str, Any], bytes]:
    _, _, head_length, _ = PREFIX.unpack_from(payload)
    header: dict[str, Any] = json.loads(payload[START : START + head_length])
    return header, payload[START + head_length :]


def assert_equal(found: Model, expected: Model) -> None:
    assert found.model_id == expected.model_id
    assert found.detector == expected.detector
    assert dict(found.parameters) == dict(expected.parameters)
    assert {name: (a.dtype.str, a.shape, a.tolist()) for name, a in found.arrays.items()} == {
        name: (a.dtype.str, a.shape, a.tolist()) for name, a in expected.arrays.items()
    }


@untimed
@given(models)
def test_what_was_stored_comes_back(model: Model) -> None:
    payload = encode(model)
    assert_equal(decode(payload), model)
    assert encode(decode(payload)) == payload


def test_decoded_arrays_are_writable_aligned_and_own_their_memory() -> None:
    for array in decode(PAYLOAD).arrays.values():
        assert array.flags.writeable
        assert array.flags.aligned
        assert array.flags.c_contiguous


def test_models_decoded_from_one_header_share_nothing_that_can_be_changed() -> None:
    first, second = decode(PAYLOAD), decode(PAYLOAD)
    first.parameters["n_estimators"] = 0  # type: ignore[index]
    first.arrays["thresholds"][:] = 0.0
    assert second.model_id == decode(PAYLOAD).model_id == FOREST.model_id


def test_minus_zero_and_zero_are_the_same_model_and_the_same_bytes() -> None:
    plus, minus = (Model("d", {}, {"x": np.array([zero, 1.0])}) for zero in (0.0, -0.0))
    assert plus.model_id == minus.model_id
    assert encode(plus) == encode(minus)


def test_arrays_in_other_byte_order_or_layout_are_the_same_model_and_the_same_bytes() -> None:
    values = np.arange(6.0).reshape(2, 3)
    same = [values, values.astype(">f8"), np.asfortranarray(values)]
    assert len({Model("d", {}, {"x": array}).model_id for array in same}) == 1
    assert len({encode(Model("d", {}, {"x": array})) for array in same}) == 1


def test_no_library_version_is_stored_and_one_that_an_older_release_stored_is_no_part_of_the_identity() -> None:
    assert parts(PAYLOAD)[0]["reference"] == {}
    other = encode(FOREST, reference={"scikit-learn": "0.1"})
    assert other != PAYLOAD
    assert decode(other).model_id == FOREST.model_id


@untimed
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(ModelFormatError, match="What to do"):
        decode(payload)


@untimed
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_random_bytes_behind_a_good_checksum_are_refused(head: bytes, body: bytes) -> None:
    with pytest.raises(ModelFormatError):
        decode(sealed(head, body))


def refused(payload: bytes) -> bool:
    try:
        decode(payload)
    except ModelFormatError:
        return True
    return False


def test_every_truncation_is_refused() -> None:
    assert all(refused(PAYLOAD[:length]) for length in range(len(PAYLOAD)))


def test_every_flipped_bit_is_refused() -> None:
    whole = int.from_bytes(PAYLOAD, "little")
    assert all(refused((whole ^ 1 << bit).to_bytes(len(PAYLOAD), "little")) for bit in range(8 * len(PAYLOAD)))


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(ModelFormatError, match="do not fit"):
        decode(PAYLOAD + b"\0")


@untimed
@given(st.integers(0, 8 * (len(PAYLOAD) - START) - 1))
def test_a_flipped_bit_behind_a_good_checksum_gives_another_model_or_a_refusal_and_the_detector_bears_it(
    bit: int,
) -> None:
    content = bytearray(PAYLOAD[START:])
    content[bit // 8] ^= 1 << bit % 8
    head_length = PREFIX.unpack_from(PAYLOAD)[2]
    detector = DETECTORS["isolation_forest"]()
    day = WalletRows(["w"], np.array([0, 2]), np.array([0, 5 * 3_600_000_000]), np.array([1.0, 1e9]))
    try:
        model = decode(sealed(bytes(content[:head_length]), bytes(content[head_length:])))
        score = detector.judge(day, [model]).score
    except ModelFormatError:
        return
    assert ((score > 0) & (score < 1)).all()
    if model.model_id == FOREST.model_id:
        assert_equal(model, FOREST)


class Bomb:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.write_text, (self.path, "executed")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_refused_and_never_executed(protocol: int, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    payload = pickle.dumps(Bomb(trap), protocol=protocol)
    for disguised in (payload, sealed(payload, b""), sealed(b"{}", payload)):
        with pytest.raises(ModelFormatError):
            decode(disguised)
    assert not trap.exists()
    pickle.loads(payload)  # noqa: S301 - shows that the trap works
    assert trap.exists()


def test_a_format_of_a_newer_release_is_no_damage_and_one_that_never_was_is() -> None:
    header, body = parts(PAYLOAD)
    with pytest.raises(NeedsRelease, match="format version 2") as caught:
        decode(sealed(canonical_json(header), body, version=2))
    assert "materialize wallet_models" in caught.value.remedy
    assert caught.value.expected == "format version 1 at most"
    with pytest.raises(ModelFormatError, match="format version 0"):
        decode(sealed(canonical_json(header), body, version=0))


def test_a_payload_larger_than_allowed_is_refused() -> None:
    with pytest.raises(ModelFormatError, match="at most 100"):
        decode(PAYLOAD, max_bytes=100)
    n_bytes = sum(array.nbytes for array in FOREST.arrays.values())
    assert decode(PAYLOAD, max_bytes=max(n_bytes, len(PAYLOAD))).model_id == FOREST.model_id
    with pytest.raises(ModelFormatError, match="at most"):
        decode(encode(Model("d", {}, {"x": np.zeros(9999, dtype=np.int8)})), max_bytes=9998)


def zeros_frame(n_bytes: int) -> bytes:
    return bytes(pa.Codec("zstd").compress(bytes(n_bytes), asbytes=True))


@pytest.mark.parametrize(("claimed", "max_bytes"), [(100, 2**26), (2**29, 2**26), (2**31, 2**30)])
def test_a_bomb_is_refused_before_anything_is_allocated_for_it(claimed: int, max_bytes: int) -> None:
    bomb = zeros_frame(2**29)
    header, _ = parts(PAYLOAD)
    head = canonical_json({**header, "arrays": [["x", "i1", [claimed]]]})
    pool = pa.default_memory_pool()
    before = pool.max_memory()
    with pytest.raises(ModelFormatError):
        decode(sealed(head, bomb), max_bytes=max_bytes)
    assert pool.max_memory() == before


@pytest.mark.parametrize("claimed", [999, 1001, 4000])
def test_a_header_that_claims_another_size_than_the_frame_is_refused(claimed: int) -> None:
    header, _ = parts(PAYLOAD)
    with pytest.raises(ModelFormatError, match=f"does not say that it holds {claimed} bytes"):
        decode(sealed(canonical_json({**header, "arrays": [["x", "u1", [claimed]]]}), zeros_frame(1000)))


def test_a_frame_that_understates_its_content_is_refused() -> None:
    frame = bytearray(zeros_frame(2**20))
    assert frame[4] >> 6 == 2  # the content size is four bytes wide, at 6
    start = 5 if frame[4] & 0x20 else 6
    frame[start : start + 4] = (1000).to_bytes(4, "little")
    header, _ = parts(PAYLOAD)
    with pytest.raises(ModelFormatError, match="decompressed"):
        decode(sealed(canonical_json({**header, "arrays": [["x", "u1", [1000]]]}), bytes(frame)))


def test_a_frame_that_overstates_its_content_is_refused() -> None:
    frame = bytearray(zeros_frame(1000))
    header, _ = parts(PAYLOAD)
    start = 5 if frame[4] & 0x20 else 6
    frame[start : start + 2] = (2000 - 256).to_bytes(2, "little")
    with pytest.raises(ModelFormatError, match="decompressed"):
        decode(sealed(canonical_json({**header, "arrays": [["x", "u1", [2000]]]}), bytes(frame)))


def with_arrays(*entries: Any) -> dict[str, Any]:
    return {**parts(PAYLOAD)[0], "arrays": list(entries)}


BAD_HEADERS: dict[str, Any] = {
    "a list": [],
    "a key missing": {key: value for key, value in parts(PAYLOAD)[0].items() if key != "detector"},
    "a key too many": {**parts(PAYLOAD)[0], "code": "x"},
    "a detector that is no text": {**parts(PAYLOAD)[0], "detector": 1},
    "a nested parameter": {**parts(PAYLOAD)[0], "parameters": {"a": [1]}},
    "parameters as a list": {**parts(PAYLOAD)[0], "parameters": []},
    "a reference that is no text": {**parts(PAYLOAD)[0], "reference": {"numpy": 2}},
    "objects": with_arrays(["x", "O", [1]]),
    "a type with a field": with_arrays(["x", [["a", "f8"]], [1]]),
    "another byte order": with_arrays(["x", ">f8", [1]]),
    "bool": with_arrays(["x", "b1", [1]]),
    "a negative length": with_arrays(["x", "u1", [-1]]),
    "a length that is a truth value": with_arrays(["x", "u1", [True]]),
    "a fractional length": with_arrays(["x", "u1", [1.0]]),
    "a length without end": with_arrays(["x", "f8", [10**300]]),
    "nodes without end": with_arrays(["x", "f8", [2**31, 2**31]]),
    "an empty shape that is too big": with_arrays(["x", "u1", [0, 2**31, 2**31, 2**31]]),
    "five dimensions": with_arrays(["x", "u1", [1, 1, 1, 1, 1]]),
    "a shape that is text": with_arrays(["x", "u1", "1"]),
    "an entry of two": with_arrays(["x", "u1"]),
    "an array twice": with_arrays(["x", "u1", [0]], ["x", "u1", [0]]),
    "arrays out of order": with_arrays(["y", "u1", [0]], ["x", "u1", [0]]),
}


@pytest.mark.parametrize("what", BAD_HEADERS)
def test_a_forged_header_is_refused(what: str) -> None:
    for body in (parts(PAYLOAD)[1], zeros_frame(0)):
        with pytest.raises(ModelFormatError):
            decode(sealed(canonical_json(BAD_HEADERS[what]), body))


@pytest.mark.parametrize(
    "head",
    [
        b'{"detector":"d","detector":"d","arrays":[],"parameters":{},"reference":{}}',
        b'{"arrays": [],"detector":"d","parameters":{},"reference":{}}',
        b'{"arrays":[],"detector":"d","parameters":{"a":NaN},"reference":{}}',
        b'{"arrays":[],"detector":"d","parameters":{"a":1e999},"reference":{}}',
        b'{"arrays":[],"detector":"\\ud800","parameters":{},"reference":{}}',
        b'{"arrays":[],"detector":"d","parameters":{"a":' + b"9" * 5000 + b'},"reference":{}}',
        b"[" * 60_000,
        b"\xff\xfe",
        b"",
    ],
)
def test_a_header_that_is_not_canonical_is_refused(head: bytes) -> None:
    with pytest.raises(ModelFormatError, match="canonical JSON"):
        decode(sealed(head, zeros_frame(0)))


def test_many_arrays_are_read_without_copying_the_rest_for_each() -> None:
    model = Model("d", {}, {f"a{n:04d}": np.zeros(n % 3, dtype=np.float32) for n in range(3000)})
    assert decode(encode(model)).model_id == model.model_id


@pytest.mark.parametrize(
    "model",
    [
        Model("d", {}, {"x": np.array([object()])}),
        Model("d", {}, {"x": np.array([True])}),
        Model("d", {}, {"x": np.array(["text"])}),
        Model("d", {"a": [1]}, {}),
        Model("d", {"a": np.float64(1.0)}, {}),
    ],
)
def test_what_the_format_does_not_hold_is_refused_when_stored(model: Model) -> None:
    with pytest.raises(ModelFormatError):
        encode(model)


@given(st.integers(-9, 300))
def test_a_payload_gets_the_size_that_was_sealed_if_only_its_header_has_to_be_longer(surplus: int) -> None:
    stored = resized(PAYLOAD, len(PAYLOAD) + surplus)
    assert decode(stored).model_id == FOREST.model_id
    assert len(stored) == len(PAYLOAD) + (surplus if surplus >= len('"":""') else 0)
