"""The text of a CSV file as UTF-8, block by block: decompressed, transcoded, never the whole file."""

import codecs
import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from anomaly_assets.adapters.object_path import AnyPath, ObjectPath
from anomaly_assets.adapters.sources.file_faults import undecodable
from anomaly_assets.domain.errors import SettingsError

BLOCK_BYTES = 16 * 1024 * 1024
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
_BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_BOM_ENCODINGS = {
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}


def encoding_named(name: str) -> str:
    """Python's own name of a text encoding. Raises ``SettingsError`` when there is none of this name."""
    try:
        "".encode(name)  # refuses the codecs that are no text encodings, too
        return codecs.lookup(name).name
    except (LookupError, UnicodeError):
        raise SettingsError(
            f"source.files.encoding is {name!r}",
            expected="a text encoding such as utf-8, utf-16, latin-1 or cp1252",
        ) from None


def utf8_blocks(path: AnyPath, encoding: str) -> Iterator[bytes]:
    """The text of ``path`` in UTF-8 without byte order mark, in pieces that may end anywhere.

    Text that is declared as UTF-8 is handed on as it is, so that a byte that is no text costs its row only; what is in
    another encoding must decode.

    Raises ``SourceError`` naming the first byte that does not decode and its line, what Arrow, zlib and the like raise
    when compressed bytes are damaged or incomplete, and ``OSError``.
    """
    codec = encoding_named(encoding)
    with _opened(path) as stream:
        first = _read(stream)
        if codec in {"utf-8", "utf-8-sig"}:
            _refuse_utf16(path, first)
            yield first.removeprefix(codecs.BOM_UTF8)
            while block := _read(stream):
                yield block
        else:
            _require_bom(path, first, codec)
            yield from _transcoded(path, stream, first, codec)


@contextmanager
def _opened(path: AnyPath) -> Iterator[Any]:
    """The decompressed bytes. Arrow reads them for us and not ahead of us: its threads see none of Python's memory."""
    suffix = path.suffix.lower()
    with path.open_input() if isinstance(path, ObjectPath) else pa.OSFile(str(path)) as file:
        if suffix == ".xz":
            yield _XzStream(file)
            return
        if suffix not in _COMPRESSIONS:
            yield file
            return
        with pa.CompressedInputStream(file, _COMPRESSIONS[suffix]) as stream:
            yield stream


class _XzStream:
    """Decompresses .xz, which Arrow does not; Python's own reader takes damaged bytes at the end for padding."""

    def __init__(self, file: pa.NativeFile) -> None:
        self._file = file
        self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        self._compressed = b""

    def read(self, most: int) -> bytes:
        """At most ``most`` bytes, none only at the end. Raises ``EOFError`` and ``lzma.LZMAError``."""
        while True:
            if self._decompressor.eof:
                rest = (self._decompressor.unused_data or self._file.read(BLOCK_BYTES)).lstrip(b"\0")
                if not rest:
                    return b""
                self._decompressor, self._compressed = lzma.LZMADecompressor(lzma.FORMAT_XZ), rest
            elif self._decompressor.needs_input and not self._compressed:
                self._compressed = self._file.read(BLOCK_BYTES)
                if not self._compressed:
                    raise EOFError("the compressed bytes end too early")
            compressed, self._compressed = self._compressed, b""
            if block := self._decompressor.decompress(compressed, most):
                return block


def _read(stream: Any) -> bytes:
    try:
        block: bytes = stream.read(BLOCK_BYTES)
    except (EOFError, lzma.LZMAError) as error:
        raise pa.ArrowInvalid(str(error)) from error
    return block


def _transcoded(path: AnyPath, stream: Any, first: bytes, codec: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(codec)("strict")
    block, place, line = first, 0, 1
    while True:
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(codec, "replace")
            raise undecodable(
                path,
                f"byte {place - pending + error.start} (from 0), in line {line + before.count(chr(10))}, is no "
                f"{codec}: {error.reason}",
                remedy="correct source.files.encoding or deliver the file again",
            ) from None
        line += text.count("\n")
        place += len(block)
        yield text.encode("utf-8", "surrogatepass")
        if not block:
            return
        block = _read(stream)


def _refuse_utf16(path: AnyPath, first: bytes) -> None:
    for mark, name in _BOMS.items():
        if first.startswith(mark):
            raise undecodable(path, f"it begins as {name} does", remedy=f"set source.files.encoding: {name}")


def _require_bom(path: AnyPath, first: bytes, codec: str) -> None:
    marks = _BOM_ENCODINGS.get(codec)
    if marks and first and not first.startswith(marks):
        raise undecodable(
            path,
            f"it has no byte order mark, which {codec} needs",
            remedy=f"set source.files.encoding: {codec}-le, or {codec}-be",
        )
