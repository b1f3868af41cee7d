"""Paths in an object store behave as those of a folder do, against a local S3 server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import BUCKET, object_store

from anomaly_assets.adapters.atomic_files import replace_durably, write_atomically
from anomaly_assets.adapters.object_path import AnyPath, ObjectPath, listed, path_of
from anomaly_assets.domain.errors import SettingsError


@pytest.fixture(scope="module")
def parameters() -> Iterator[str]:
    with object_store() as parameters:
        yield parameters


@pytest.fixture(params=["a folder", "an object store"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> AnyPath:
    """An empty place, with characters that must be quoted."""
    if request.param == "a folder":
        return tmp_path / "some ü"
    return ObjectPath.of(f"s3://{BUCKET}/{tmp_path.name}/some ü?{request.getfixturevalue('parameters')}")


def test_what_is_written_is_read_listed_and_deleted(root: AnyPath) -> None:
    path = root / "a" / "2024-01-01" / "seal.json"
    assert not path.exists()
    assert listed(root, "*") == []
    with pytest.raises(FileNotFoundError):
        path.read_bytes()
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    write_atomically(root / "a" / "2024-01-02" / "seal.json", b"")
    write_atomically(root / "a" / "2024-01-02" / "x-1.parquet", b"")
    assert path.read_bytes() == b"two"
    assert (path.exists(), path.is_dir()) == (True, False)
    assert (path.parent.exists(), path.parent.is_dir()) == (True, True)
    assert [found.parent.name for found in listed(root / "a", "*/seal.json")] == ["2024-01-01", "2024-01-02"]
    assert [found.name for found in listed(root / "a" / "2024-01-02", "*.parquet")] == ["x-1.parquet"]
    assert [found.name for found in listed(root / "a" / "2024-01-02", "x*")] == ["x-1.parquet"]
    assert [found.name for found in listed(root / "a", "*")] == ["2024-01-01", "2024-01-02"]
    path.unlink()
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        path.unlink()
    path.unlink(missing_ok=True)


def test_names_are_made_alike(root: AnyPath) -> None:
    path = root / "a" / "b-1.parquet"
    assert (path.name, path.stem, path.suffix) == ("b-1.parquet", "b-1", ".parquet")
    assert path.with_name("c") == root / "a" / "c"
    assert path.parent == root / "a"
    assert sorted([root / "b", root / "a"]) == [root / "a", root / "b"]
    assert str(path).endswith("some ü/a/b-1.parquet")


def test_a_staged_file_is_moved_there_whole(root: AnyPath, tmp_path: Path) -> None:
    content = bytes(range(256)) * 50_000
    temporary, target = tmp_path / ".staged.tmp", root / "a" / "file"
    write_atomically(target, b"before")
    temporary.write_bytes(content)
    replace_durably(temporary, target)
    assert target.read_bytes() == content
    assert not temporary.exists()


def test_an_object_is_read_in_parts(parameters: str) -> None:
    path = ObjectPath.of(f"s3://{BUCKET}/parts?{parameters}") / "file"
    path.write_bytes(b"0123456789")
    assert path.version()[0] == 10
    assert path.version() == path.version()
    with path.open_input() as file:
        assert file.read_at(3, 4) == b"456"
    with pytest.raises(FileNotFoundError):
        path.with_name("nothing").version()


@pytest.mark.parametrize("uri", ["s3://", "gs://bucket/a", "s3://key:secret@bucket/a", "s3:///a"])
def test_what_is_no_location_is_refused_and_no_secret_repeated(uri: str) -> None:
    with pytest.raises(SettingsError, match="no location of an object store") as refused:
        ObjectPath.of(uri)
    assert "secret@" not in str(refused.value)


def test_parameters_that_arrow_does_not_know_are_named() -> None:
    with pytest.raises(SettingsError, match=r"s3://bucket/a cannot be opened: .*colour"):
        ObjectPath.of("s3://bucket/a?colour=red")


def test_a_path_is_of_this_machine_unless_it_is_a_uri(tmp_path: Path) -> None:
    assert path_of(str(tmp_path)) == tmp_path
    assert isinstance(path_of(f"s3://{BUCKET}/a?region=us-east-1"), ObjectPath)
