"""Models from an object store: whole, checked, and never seen before they are."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import msgspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cnnsvc import bundle
from cnnsvc.errors import NotReadyError, SettingError, UnsupportedError
from cnnsvc.manifest import Manifest, read_manifest, write_manifest
from service.fetch_models import Store
from service.models_folder import list_models
from tests.bundles import write_bundle

URL = "memory://bucket/models"


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[fsspec.AbstractFileSystem]:
    """flowers versions 1 to 3 and trees version 1, in a store that lives in memory."""
    for name in ("flowers", "flowers", "flowers", "trees"):
        write_bundle(tmp_path / "made", name)
    files = fsspec.filesystem("memory")
    files.put(f"{tmp_path}/made/", "/bucket/models/", recursive=True)
    yield files
    files.rm("/bucket", recursive=True)


def test_the_newest_versions_are_copied(bucket: Any, tmp_path: Path) -> None:
    """Of each model as many as are asked for, as they are in the store and as a server reads them."""
    Store(URL).fetch(tmp_path / "models", 2)
    assert _versions(tmp_path) == {"flowers": [2, 3], "trees": [1]}
    copied = bundle.open_bundle(tmp_path / "models" / "flowers" / "3")
    assert copied.manifest == read_manifest(tmp_path / "made" / "flowers" / "3")


def test_what_is_there_is_not_copied_again(bucket: Any, tmp_path: Path) -> None:
    """A version that is in the folder stays as it is; one that came into the store since is added."""
    store = Store(URL)
    store.fetch(tmp_path / "models", 1)
    before = (tmp_path / "models/flowers/3/manifest.json").stat()
    write_bundle(tmp_path / "made")
    bucket.put(f"{tmp_path}/made/flowers/4/", "/bucket/models/flowers/4/", recursive=True)
    store.fetch(tmp_path / "models", 2)
    assert _versions(tmp_path) == {"flowers": [3, 4], "trees": [1]}
    assert (tmp_path / "models/flowers/3/manifest.json").stat() == before


@pytest.mark.parametrize("missing", ["manifest.json", "model.onnx", "golden/0.png"])
def test_half_an_upload_waits(bucket: Any, tmp_path: Path, missing: str, caplog: pytest.LogCaptureFixture) -> None:
    """A version of which a file is not there yet gives way to the one before it, and is copied once it is whole."""
    bucket.mv(f"/bucket/models/flowers/3/{missing}", "/bucket/later")
    store = Store(URL)
    with caplog.at_level(logging.WARNING):
        store.fetch(tmp_path / "models", 1)
    assert _versions(tmp_path)["flowers"] == [2]
    assert f"flowers version 3 is not whole: /bucket/models/flowers/3/{missing} is not there" in caplog.text
    bucket.mv("/bucket/later", f"/bucket/models/flowers/3/{missing}")
    store.fetch(tmp_path / "models", 1)
    assert _versions(tmp_path)["flowers"] == [2, 3]


def test_damage_on_the_way_is_not_let_in(bucket: Any, tmp_path: Path) -> None:
    """A file with another SHA-256 than the manifest says keeps its version out."""
    bucket.pipe_file("/bucket/models/trees/1/model.onnx", b"something else")
    with pytest.raises(NotReadyError, match="no whole version of trees"):
        Store(URL).fetch(tmp_path / "models", 1)
    assert _versions(tmp_path) == {"flowers": [3]}
    assert not (tmp_path / "models" / "trees").exists()


def test_a_copy_is_not_seen_before_it_is_whole(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At no file that is being copied does the server's own look at the folder find its version."""
    seen: list[dict[str, list[int]]] = []
    copy_file = MemoryFileSystem.get_file

    def watched(self: MemoryFileSystem, source: str, target: str) -> None:
        copy_file(self, source, target)
        seen.append(_versions(tmp_path))

    monkeypatch.setattr(MemoryFileSystem, "get_file", watched)
    bucket.rm("/bucket/models/trees", recursive=True)
    Store(URL).fetch(tmp_path / "models", 1)
    assert len(seen) > 4
    assert all(found == {"flowers": []} for found in seen)
    assert _versions(tmp_path) == {"flowers": [3]}


def test_a_copy_that_fails_leaves_nothing(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that breaks off is told in its own words, and the folder of models is as before."""

    def broken(self: MemoryFileSystem, source: str, target: str) -> None:
        Path(target).write_bytes(b"half")
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(MemoryFileSystem, "get_file", broken)
    with pytest.raises(NotReadyError, match=rf"{URL} cannot be read: ConnectionResetError: reset by peer"):
        Store(URL).fetch(tmp_path / "models", 1)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_manifest_cannot_reach_outside(bucket: Any, tmp_path: Path) -> None:
    """A manifest that names a file above its folder keeps its version out, and nothing is written there."""
    changed = tmp_path / "changed"
    shutil.copytree(tmp_path / "made" / "trees" / "1", changed)
    manifest: Manifest = read_manifest(changed)
    write_manifest(changed, msgspec.structs.replace(manifest, files={"../../escaped": "0", **manifest.files}))
    bucket.put_file(str(changed / "manifest.json"), "/bucket/models/trees/1/manifest.json")
    bucket.pipe_file("/bucket/models/escaped", b"x")
    with pytest.raises(NotReadyError, match="no whole version of trees"):
        Store(URL).fetch(tmp_path / "models", 1)
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["flowers"]


def test_an_empty_store_is_told(tmp_path: Path) -> None:
    """A folder without models, and one that is not there."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotReadyError, match="holds no model"):
        Store(f"file://{tmp_path}/empty").fetch(tmp_path / "models", 1)
    with pytest.raises(NotReadyError, match="cannot be read: FileNotFoundError"):
        Store(f"file://{tmp_path}/absent").fetch(tmp_path / "models", 1)


def test_urls_that_cannot_be_opened() -> None:
    """A kind of store that fsspec does not know, and one whose package is not installed, are told with the remedy."""
    with pytest.raises(SettingError, match="no URL of a folder of models: Protocol not known: nonsense"):
        Store("nonsense://models")
    with pytest.raises(UnsupportedError, match="needs a package"):
        Store("s3://models")


def _versions(tmp_path: Path) -> dict[str, list[int]]:
    """What a server would find in the folder."""
    listing = list_models(tmp_path / "models")
    assert not listing.troubles
    return {name: sorted(found) for name, found in listing.models.items()}
