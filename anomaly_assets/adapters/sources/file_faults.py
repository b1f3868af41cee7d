"""What goes wrong with files, as errors that name the file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from anomaly_assets.adapters.object_path import AnyPath, ObjectPath
from anomaly_assets.adapters.sources.column_names import missing
from anomaly_assets.domain.errors import SourceError, SourceUnavailable


@dataclass(frozen=True)
class FileVersion:
    """What tells one content of a path from another without reading it; no program can set the time of change."""

    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, path: AnyPath) -> "FileVersion":
        """The version that lies at ``path`` now. Raises ``SourceUnavailable`` when there is none."""
        try:
            if isinstance(path, ObjectPath):
                return cls(*path.version(), 0)
            status = path.stat()
        except OSError as error:
            raise SourceUnavailable(
                f"{path} cannot be read any more: {error.strerror or error}", remedy="run again when it is back"
            ) from None
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def require_at(self, path: AnyPath) -> None:
        """Raise ``SourceUnavailable`` unless ``path`` still has this version."""
        if FileVersion.of(path) != self:
            raise SourceUnavailable(f"{path} changed while it was read", remedy="run again when it is complete")


@contextmanager
def failures_naming(path: AnyPath) -> Iterator[None]:
    """Let what fails in reading ``path`` be a ``SourceError`` or ``SourceUnavailable`` that names it."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise nothing_at(path) from None
    except PermissionError:
        raise SourceError(f"{path} may not be read", remedy="let this user read it") from None
    except OSError as error:
        if error.errno is not None:
            raise SourceUnavailable(f"reading {path} failed: {error.strerror}") from error
        if isinstance(path, ObjectPath) and "AWS Error" in str(error):
            raise _refused_by_the_store(path, error) from error
        raise undecodable(path, error) from error
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise undecodable(path, error) from error


def _refused_by_the_store(path: ObjectPath, error: OSError) -> SourceError | SourceUnavailable:
    """What an object store said: that it lets nobody in, or something that may pass."""
    told = str(error).splitlines()[0][:300]
    if any(code in told for code in ("ACCESS_DENIED", "INVALID_ACCESS_KEY", "SIGNATURE", "NO_SUCH_BUCKET")):
        return SourceError(f"{path} may not be read: {told}", remedy="correct the keys, their rights or the bucket")
    return SourceUnavailable(f"reading {path} failed: {told}")


def undecodable(path: AnyPath, reason: Exception | str, *, remedy: str = "deliver the file again") -> SourceError:
    """The content of ``path`` is not what its name says."""
    text = (str(reason).splitlines() or [type(reason).__name__])[0][:300]
    return SourceError(
        f"{path} cannot be decoded: {text}", expected="a complete file of the format its name ends in", remedy=remedy
    )


def nothing_at(path: AnyPath) -> SourceUnavailable:
    """Nothing lies at ``path``."""
    return SourceUnavailable(
        f"there is nothing at {path}",
        expected="a data file or a folder of them",
        remedy="wait for the file or mount to come back, or correct source.files.path",
    )


def require_columns(path: AnyPath, found: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise ``SourceError`` unless each wanted column is found exactly once."""
    problems = [_explain(name, found) for name in wanted if found.count(name) != 1]
    if problems:
        raise SourceError(
            f"{path} has the columns {', '.join(found)}; {'; '.join(problems)}",
            expected=f"each of {', '.join(wanted)} once",
            remedy="map the names in source.files.columns (canonical name: the file's name)",
        )


def _explain(name: str, found: Sequence[str]) -> str:
    if name in found:
        return f"{name} is there {found.count(name)} times"
    return missing(name, found)
