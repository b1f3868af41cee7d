"""Paths in an object store: as much of ``pathlib.Path`` as files of a lake need, over Arrow's file systems.

An object is there wholly or not at all: it appears when its upload is complete, and replaces the one before at once.
There are no renames and no folders; a folder exists as long as something lies in it.
"""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, total_ordering
from pathlib import Path, PurePosixPath
from typing import TypeAlias
from urllib.parse import quote, urlsplit

import pyarrow as pa
import pyarrow.fs as pafs

from anomaly_assets.domain.errors import SettingsError

SCHEMES = ("s3",)
"""What a location may begin with, other than being a path of this machine."""


@total_ordering
@dataclass(frozen=True)
class ObjectPath:
    """An object, or what lies below a prefix.

    Parameters
    ----------
    uri : where it is, for people: scheme, bucket and key
    filesystem : who reads and writes it
    key : bucket and key
    """

    uri: str
    key: PurePosixPath
    filesystem: pafs.FileSystem = field(compare=False, repr=False)

    @classmethod
    def of(cls, uri: str) -> "ObjectPath":
        """The path at ``uri``, such as ``s3://bucket/folder?region=eu-central-1``; parameters are Arrow's.

        Keys and secrets come from where Amazon's tools look for them (environment, profile, role), not from the URI.

        Raises ``SettingsError`` when it is none.
        """
        parts = urlsplit(uri)
        if parts.scheme not in SCHEMES or not parts.hostname or "@" in parts.netloc:
            raise SettingsError(
                f"{parts.scheme}://{parts.hostname or ''} is no location of an object store",
                expected=f"{' or '.join(SCHEMES)}://bucket/folder, without keys in it",
                remedy="put keys into the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or a profile",
            )
        filesystem, key = _filesystem(uri)
        return cls(f"{parts.scheme}://{key}", PurePosixPath(key), filesystem)

    def __str__(self) -> str:
        return self.uri

    def __lt__(self, other: "ObjectPath") -> bool:
        return self.key < other.key

    def __truediv__(self, name: str) -> "ObjectPath":
        return self._at(self.key / name)

    @property
    def name(self) -> str:
        """The last part."""
        return self.key.name

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return self.key.stem

    @property
    def suffix(self) -> str:
        """The suffix of the last part."""
        return self.key.suffix

    @property
    def parent(self) -> "ObjectPath":
        """What it lies in."""
        return self._at(self.key.parent)

    def with_name(self, name: str) -> "ObjectPath":
        """Its neighbour of this name."""
        return self._at(self.key.with_name(name))

    def relative_to(self, other: "ObjectPath") -> PurePosixPath:
        """The part of the key behind that of ``other``. Raises ``ValueError`` when it does not lie below it."""
        return self.key.relative_to(other.key)

    def read_bytes(self) -> bytes:
        """The object. Raises ``FileNotFoundError``, and ``OSError`` as the store gives it."""
        with self.filesystem.open_input_file(str(self.key)) as file:
            content: bytes = file.read()
        return content

    def write_bytes(self, content: bytes) -> int:
        """Put the object there whole, in place of any other."""
        with self.filesystem.open_output_stream(str(self.key), compression=None) as file:
            file.write(content)
        return len(content)

    def open_input(self) -> pa.NativeFile:
        """The object, to be read in parts."""
        return self.filesystem.open_input_file(str(self.key))

    def exists(self) -> bool:
        """Whether there is an object, or something below this prefix."""
        return bool(self._info().type != pafs.FileType.NotFound)

    def is_dir(self) -> bool:
        """Whether something lies below this prefix."""
        return bool(self._info().type == pafs.FileType.Directory)

    def version(self) -> tuple[int, int]:
        """Size of the object, bytes, and when it was put there, nanoseconds. Raises ``FileNotFoundError``."""
        info = self._info()
        if info.type != pafs.FileType.File:
            raise FileNotFoundError(f"there is no object {self.uri}")
        return int(info.size), int(info.mtime_ns or 0)

    def below(self) -> Iterator["ObjectPath"]:
        """Every object below this prefix, in no order."""
        selector = pafs.FileSelector(str(self.key), allow_not_found=True, recursive=True)
        for info in self.filesystem.get_file_info(selector):
            if info.type == pafs.FileType.File:
                yield self._at(PurePosixPath(info.path))

    def iterdir(self) -> Iterator["ObjectPath"]:
        """What lies directly below, in no order; nothing when there is nothing."""
        below = pafs.FileSelector(str(self.key), allow_not_found=True)
        for info in self.filesystem.get_file_info(below):
            yield self._at(PurePosixPath(info.path))

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """What matches, each part of ``pattern`` being a name or a shell pattern of names."""
        wanted = pattern.split("/")
        below = pafs.FileSelector(str(self.key), allow_not_found=True, recursive=len(wanted) > 1)
        for info in self.filesystem.get_file_info(below):  # a listing has a thousand names, a question one
            path = PurePosixPath(info.path)
            parts = path.relative_to(self.key).parts
            if len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted)):
                yield self._at(path)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Delete the object. Raises ``FileNotFoundError`` unless ``missing_ok``."""
        try:
            self.filesystem.delete_file(str(self.key))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def _info(self) -> pafs.FileInfo:
        return self.filesystem.get_file_info(str(self.key))

    def _at(self, key: PurePosixPath) -> "ObjectPath":
        return ObjectPath(f"{self.uri.partition('://')[0]}://{key}", key, self.filesystem)


AnyPath: TypeAlias = Path | ObjectPath
"""A file or folder of this machine, or one of an object store."""


def path_of(location: str | Path) -> AnyPath:
    """The path a setting means: a URI of an object store, else a path of this machine."""
    if isinstance(location, str) and "://" in location:
        return ObjectPath.of(location)
    return Path(location)


def listed(folder: AnyPath, pattern: str) -> list[AnyPath]:
    """What matches in a folder, by name; nothing where there is no folder."""
    found: Iterator[AnyPath] = iter(folder.glob(pattern))
    return sorted(found, key=lambda path: path.name)


@cache
def _filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    location, _, parameters = uri.partition("?")
    try:
        filesystem, key = pafs.FileSystem.from_uri(f"{quote(location, safe='/:%')}?{parameters}")
    except (pa.ArrowInvalid, ValueError) as error:
        raise SettingsError(f"{location} cannot be opened: {error}", remedy="see docs/sources.md") from None
    return filesystem, key
