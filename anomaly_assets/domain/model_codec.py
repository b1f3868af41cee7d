"""The storage format of models: plain arrays behind a checked header. Nothing that is read is ever executed.

::

    magic            8 bytes   b"ANOMODEL"
    format version   u16       little-endian, like every number here
    header length    u32       bytes
    body length      u32       bytes
    checksum         32 bytes  SHA-256 of everything before and after it
    header           canonical JSON: detector, parameters, arrays as [name, type, shape] in order of name, reference
    body             a zstd frame of the coarse bytes, then the fine bytes as they are

Arrays are stored in the order of the header as byte planes: the lowest bytes of all values, then the next ones. The
fine bytes are all planes of floats but the highest (sign and exponent): noise, which compression would only lengthen.

Prefix and checksum are those of every format version, so damage is told apart from a format that is newer.
``reference`` is empty: the size of a payload is sealed, and must not depend on installed versions. In payloads of
release 0.1.0 it held them. The checksum finds damage,
not forgery: callers compare ``model_id`` with the one they expect, and detectors validate what the arrays mean.
"""

import hashlib
import json
import math
import struct
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import zstandard

from anomaly_assets.domain.detectors.base import Model
from anomaly_assets.domain.errors import ModelFormatError, NeedsRelease
from anomaly_assets.domain.identity import canonical_json
from anomaly_assets.domain.table_identity import canonical_array

MAGIC = b"ANOMODEL"
FORMAT_VERSION = 1
MAX_BYTES = 64 * 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024
DTYPES = frozenset({"i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"})
MAX_DIMENSIONS = 4
REFERENCE_BYTES = range(45, 201)
"""How many bytes longer a payload of release 0.1.0 may be: its ``reference`` held the versions of three libraries."""

_LITTLE_ENDIAN = {name: np.dtype(name).newbyteorder("<") for name in DTYPES}
_PREFIX = struct.Struct("<8sHII")
_CHECKSUM_BYTES = 32
_START = _PREFIX.size + _CHECKSUM_BYTES
_ARRAYS, _REST = b'{"arrays":', b',"detector":'
"""How a header begins, and what comes after its arrays."""
_REST_KEYS = ["detector", "parameters", "reference"]
"""Keys of a header beside its arrays."""
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_COMPRESSION_LEVEL = 3
_REMEDY = "materialize wallet_models of its day again; the stored copy is bad"


def encode(model: Model, *, reference: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """``model`` in the storage format. Equal models encode to equal bytes.

    Raises ``ModelFormatError`` for parameters that are not JSON scalars and arrays of types the format does not hold.
    """
    arrays = [(name, np.asarray(model.arrays[name])) for name in sorted(model.arrays)]
    layouts = [[name, array.dtype.str[1:], list(array.shape)] for name, array in arrays]
    rest = {"detector": model.detector, "parameters": dict(model.parameters), "reference": dict(reference)}
    _require_arrays(layouts)
    _require_rest(rest)
    head = canonical_json({"arrays": layouts, **rest})
    parts = [_to_planes(array) for _, array in arrays]
    coarse, fine = (b"".join(part[grade] for part in parts) for grade in (0, 1))
    body = _compress(coarse) + fine
    if len(head) > MAX_HEADER_BYTES or len(body) >= 2**32:
        raise _refused(f"header of {len(head)} bytes or body of {len(body)} bytes is too long")
    prefix = _PREFIX.pack(MAGIC, FORMAT_VERSION, len(head), len(body))
    return prefix + _checksum(prefix, head, body) + head + body


def decode(payload: bytes, *, max_bytes: int = MAX_BYTES) -> Model:
    """The model in ``payload``, which may be anything: damaged, forged, of another program.

    Parameters
    ----------
    payload : bytes from a store
    max_bytes : most bytes the payload, and its arrays when decompressed, may have

    Raises ``ModelFormatError`` saying what was found and what to do, and ``NeedsRelease`` for a newer format. Memory
    stays below a small multiple of ``max_bytes`` and no code in the payload runs.
    """
    head, body = _split(bytes(payload), max_bytes)
    detector, parameters, layouts = _parse_header(head)
    n_coarse, n_fine = sum(layout.n_coarse for layout in layouts), sum(layout.n_fine for layout in layouts)
    if n_coarse + n_fine > max_bytes or n_fine > len(body):
        raise _refused(f"its arrays take {n_coarse + n_fine} bytes", expected=f"at most {max_bytes}, all there")
    coarse = memoryview(_decompress(body[: len(body) - n_fine], n_coarse))
    fine, arrays = memoryview(body)[len(body) - n_fine :], {}
    for layout in layouts:
        arrays[layout.name] = layout.array(coarse[: layout.n_coarse], fine[: layout.n_fine])
        coarse, fine = coarse[layout.n_coarse :], fine[layout.n_fine :]
    return Model(detector, dict(parameters), arrays)


def resized(payload: bytes, n_bytes: int) -> bytes:
    """The same model in a payload of ``n_bytes``, if only its header has to be longer for that; else ``payload``.

    For a model that is fitted again, whose sealed size counts what release 0.1.0 told in the header.
    """
    surplus = n_bytes - len(payload) - len('"":""')
    return encode(decode(payload), reference={"": "-" * surplus}) if surplus >= 0 else payload


class _Layout(NamedTuple):
    """How one array lies in the body: its coarse planes and its fine ones."""

    name: str
    dtype: np.dtype
    shape: list[int]
    n_coarse: int
    n_fine: int

    @classmethod
    def of(cls, name: str, dtype_name: str, shape: list[int]) -> "_Layout":
        dtype, n_values = _LITTLE_ENDIAN[dtype_name], math.prod(shape)
        n_fine = n_values * (dtype.itemsize - 1) if dtype.kind == "f" else 0
        return cls(name, dtype, shape, n_values * dtype.itemsize - n_fine, n_fine)

    def array(self, coarse: memoryview, fine: memoryview) -> np.ndarray:
        """The array of these bytes, writable and aligned. Raises ``ModelFormatError`` for an impossible shape."""
        stored, width, native = b"".join((fine, coarse)), self.dtype.itemsize, self.dtype.newbyteorder("=")
        if 1 < width < len(stored):
            planes = np.frombuffer(stored, dtype=np.uint8).reshape(width, -1)
            together = np.empty((planes.shape[1], width), dtype=np.uint8)
            for place, plane in enumerate(planes):  # several times faster than a copy of the transpose
                together[:, place] = plane
            values = together.reshape(-1).view(self.dtype).astype(native, copy=False)
        else:  # one value's bytes are in their order already, and so are values of one byte
            values = np.frombuffer(stored, dtype=self.dtype).astype(native)
        try:
            return values if len(self.shape) == 1 else values.reshape(self.shape)
        except ValueError:
            raise _refused(f"array {self.name} has the impossible shape {self.shape}") from None


def _to_planes(array: np.ndarray) -> tuple[bytes, bytes]:
    """Coarse and fine bytes of ``array``."""
    width, planes = array.dtype.itemsize, canonical_array(array)
    if 1 < width < len(planes):
        planes = np.frombuffer(planes, dtype=np.uint8).reshape(-1, width).T.tobytes()
    n_fine = array.size * (width - 1) if array.dtype.kind == "f" else 0
    return planes[n_fine:], planes[:n_fine]


def _split(payload: bytes, max_bytes: int) -> tuple[bytes, bytes]:
    """Header and body, of the lengths the prefix says and with the right checksum."""
    if len(payload) > max_bytes:
        raise _refused(f"{len(payload)} bytes", expected=f"at most {max_bytes}")
    if len(payload) < _START or not payload.startswith(MAGIC):
        raise _refused(f"no model: {len(payload)} bytes that begin with {payload[:8]!r}", expected=f"{MAGIC!r} first")
    _, found_version, head_length, body_length = _PREFIX.unpack_from(payload)
    if head_length > MAX_HEADER_BYTES or _START + head_length + body_length != len(payload):
        raise _refused(f"{len(payload)} bytes do not fit a header of {head_length} and a body of {body_length}")
    head, body = payload[_START : _START + head_length], payload[_START + head_length :]
    if _checksum(payload[: _PREFIX.size], head, body) != payload[_PREFIX.size : _START]:
        raise _refused("its checksum does not match its content")
    if found_version > FORMAT_VERSION:
        raise NeedsRelease(
            f"a stored model has format version {found_version}",
            expected=f"format version {FORMAT_VERSION} at most",
            remedy="use the release that stored it, or a newer one; or materialize wallet_models of its day again",
        )
    if found_version < 1:
        raise _refused(f"it has format version {found_version}", expected="1 or more")
    return head, body


def _parse_header(head: bytes) -> tuple[str, Mapping[str, Any], list["_Layout"]]:
    """Detector, parameters and arrays of a header, which must be exactly the canonical JSON of what it says."""
    arrays, separator, rest = head.rpartition(_REST)  # quotes inside JSON strings are escaped: this is no part of one
    if not separator or not arrays.startswith(_ARRAYS):
        raise _refused(
            "its header is not canonical JSON, or has other keys", expected=f"arrays, {', '.join(_REST_KEYS)}"
        )
    detector, parameters = _parse_rest(b"{" + _REST[1:] + rest)
    entries = _canonical(arrays[len(_ARRAYS) :])
    _require_arrays(entries)
    return detector, parameters, [_Layout.of(*entry) for entry in entries]


@lru_cache(maxsize=64)  # models of one detector and settings all have one
def _parse_rest(rest: bytes) -> tuple[str, Mapping[str, Any]]:
    """Detector and parameters of a header without its arrays."""
    header = _canonical(rest)
    _require_rest(header)
    return header["detector"], header["parameters"]


def _canonical(text: bytes) -> Any:
    """What ``text`` says, which must be exactly its canonical JSON."""
    try:
        value = json.loads(text)
        canonical = canonical_json(value) == text
    except (ValueError, RecursionError):
        canonical = False
    if not canonical:
        raise _refused("its header is not canonical JSON")
    return value


def _require_rest(header: Any) -> None:
    if not isinstance(header, dict) or list(header) != _REST_KEYS or not isinstance(header["detector"], str):
        raise _refused("its header has other keys", expected=f"arrays, {', '.join(_REST_KEYS)}")
    scalars = (str, int, float, bool, type(None))
    if not _is_mapping(header["parameters"], scalars) or not _is_mapping(header["reference"], (str,)):
        raise _refused("its parameters or reference are not scalars by name")


def _require_arrays(arrays: Any) -> None:
    if not isinstance(arrays, list) or not all(_is_array_entry(entry) for entry in arrays):
        raise _refused("its arrays are not [name, type, shape]", expected=f"types {', '.join(sorted(DTYPES))}")
    names = [name for name, _, _ in arrays]
    if names != sorted(set(names)):
        raise _refused("its arrays are not in order of name, each once")


def _is_mapping(value: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and type(v) in kinds for k, v in value.items())


def _is_array_entry(entry: Any) -> bool:
    if not isinstance(entry, list) or len(entry) != 3 or not isinstance(entry[0], str):
        return False
    _, dtype, shape = entry
    if not isinstance(dtype, str) or dtype not in DTYPES or not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        return False
    return all(type(length) is int and 0 <= length < 2**32 for length in shape)


def _decompress(frame: bytes, size: int) -> bytes:
    """Exactly ``size`` bytes from a zstd frame that says it holds as many; allocates nothing before that is known."""
    if _frame_content_size(frame) != size:
        raise _refused(f"its compressed part does not say that it holds {size} bytes")
    try:
        decompressor = _decompressors.pop()
    except IndexError:
        decompressor = zstandard.ZstdDecompressor()
    try:
        return decompressor.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise _refused(f"its body cannot be decompressed: {error}") from None
    finally:
        _decompressors.append(decompressor)


def _frame_content_size(frame: bytes) -> int | None:
    """The content size in a zstd frame's header (RFC 8878, 3.1.1.1); None when it has none or this is no frame."""
    if len(frame) < 6 or not frame.startswith(_ZSTD_MAGIC):
        return None
    descriptor = frame[4]
    single_segment, dictionary, code = bool(descriptor & 0x20), descriptor & 0x03, descriptor >> 6
    width = (1 if single_segment else 0, 2, 4, 8)[code]
    if width == 0 or dictionary:
        return None
    start = 5 if single_segment else 6
    field = frame[start : start + width]
    return None if len(field) < width else int.from_bytes(field, "little") + (256 if width == 2 else 0)


_compressors: deque[zstandard.ZstdCompressor] = deque()
_decompressors: deque[zstandard.ZstdDecompressor] = deque()
"""Contexts nobody is using: making one takes longer than compressing a small model; one serves one call at a time."""


def _compress(content: bytes) -> bytes:
    try:
        compressor = _compressors.pop()
    except IndexError:
        compressor = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL)
    frame = compressor.compress(content)
    _compressors.append(compressor)
    return frame


def _checksum(prefix: bytes, head: bytes, body: bytes) -> bytes:
    return hashlib.sha256(prefix + head + body).digest()


def _refused(found: str, *, expected: str = "") -> ModelFormatError:
    return ModelFormatError(f"a stored model is malformed: {found}", expected=expected, remedy=_REMEDY)
