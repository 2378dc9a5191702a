"""Bundles are written whole or not at all, and refused when anything in them is wrong."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from cnnsvc import bundle
from cnnsvc.errors import BundleError, InvalidError
from cnnsvc.manifest import read_manifest, write_manifest
from cnnsvc.model import ModelOptions, load_model
from cnnsvc.pixels import DECODERS
from tests.bundles import manifest_of, write_bundle
from tests.encoded import encode


def test_a_published_bundle_opens(tmp_path: Path) -> None:
    """What was published is found under version 1, complete, with a hash for every file."""
    path = write_bundle(tmp_path)
    assert path == tmp_path / "flowers" / "1"
    opened = bundle.open_bundle(path)
    assert opened.manifest.version == 1
    on_disk = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert set(opened.manifest.files) == on_disk - {"manifest.json"}


def test_versions_count_up(tmp_path: Path) -> None:
    """The next version is one more than the highest, whatever else lies in the folder."""
    write_bundle(tmp_path)
    (tmp_path / "flowers" / "7").mkdir()
    (tmp_path / "flowers" / "notes").mkdir()
    (tmp_path / "flowers" / "012").mkdir()
    assert write_bundle(tmp_path).name == "8"
    assert bundle.versions(tmp_path / "flowers") == [1, 7, 8]


@pytest.mark.slow
def test_trainings_that_end_together_get_numbers_of_their_own(tmp_path: Path) -> None:
    """Eight processes that publish at once leave eight versions, each of them whole."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        paths = pool.map(write_bundle, [tmp_path] * 8)
    assert sorted(int(path.name) for path in paths) == list(range(1, 9))
    for path in paths:
        assert bundle.open_bundle(path).manifest.version == int(path.name)


def test_a_number_that_is_taken_by_a_file_is_passed_over(tmp_path: Path) -> None:
    """Whatever stands in the way of a version, the next free number is found."""
    (tmp_path / "flowers").mkdir()
    (tmp_path / "flowers" / "3").write_text("not a folder")
    assert write_bundle(tmp_path).name == "4"


def test_a_failed_run_leaves_nothing(tmp_path: Path) -> None:
    """An error while writing removes the hidden folder, and the model's own where it is empty."""

    def fail() -> None:
        with bundle.staging(tmp_path / "flowers") as folder:
            (folder / "model.onnx").write_bytes(b"half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_no_bundle_and_no_lock(tmp_path: Path) -> None:
    """After kill -9 in the middle no version is there, and the next run cleans up and publishes."""
    program = (
        "import sys, time, pathlib; from cnnsvc import bundle\n"
        f"with bundle.staging(pathlib.Path({str(tmp_path / 'flowers')!r})) as folder:\n"
        "    (folder / 'model.onnx').write_bytes(b'half'); print('staged', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert bundle.versions(tmp_path / "flowers") == []
    assert write_bundle(tmp_path).name == "1"
    assert [entry.name for entry in (tmp_path / "flowers").iterdir()] == ["1"]


def test_a_run_that_is_alive_is_left_alone(tmp_path: Path) -> None:
    """A second training does not remove the folder that the first is writing."""
    with bundle.staging(tmp_path / "flowers") as first:
        with bundle.staging(tmp_path / "flowers"):
            assert first.is_dir()
        assert first.is_dir()


@pytest.mark.parametrize("damage", ["changed", "truncated", "missing"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    """A file whose bytes are not those of the manifest refuses the bundle, by name."""
    path = write_bundle(tmp_path)
    file = path / "model.onnx"
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content[:-1] if damage == "truncated" else content[:-1] + b"\0")
    with pytest.raises(BundleError, match=r"model\.onnx (has SHA-256|cannot be read)"):
        bundle.open_bundle(path)


def test_files_outside_the_bundle_are_refused(tmp_path: Path) -> None:
    """A manifest that points outside its folder is refused."""
    path = write_bundle(tmp_path)
    write_manifest(
        path, msgspec.structs.replace(read_manifest(path), files={**read_manifest(path).files, "../../secret": "0"})
    )
    with pytest.raises(BundleError, match="outside the bundle"):
        bundle.open_bundle(path)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "ü", "a" * 65, "-x", "a b", "..", "a\n"])
def test_model_names_that_break_paths_are_refused(name: str) -> None:
    """A name is a folder, a URL segment and a label at once; anything else is refused with what is allowed."""
    with pytest.raises(InvalidError, match="expected up to 64 letters"):
        bundle.check_model_name(name)


@pytest.mark.parametrize("name", ["flowers", "a.b-c_1", "26"])
def test_ordinary_model_names_pass(name: str) -> None:
    """Letters, digits, dots, dashes and underscores make a name."""
    bundle.check_model_name(name)


def test_a_missing_models_folder_is_named(tmp_path: Path) -> None:
    """The error says which folder was looked for and what it should hold."""
    with pytest.raises(InvalidError, match=r"nowhere is not a folder; expected one that holds <name>/<version>"):
        bundle.model_names(tmp_path / "nowhere")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """Derived files beside the versions are replaced in one step and stay readable for others."""
    target = tmp_path / "labels.txt"
    bundle.write_atomically(target, "old\n")
    bundle.write_atomically(target, "new\n")
    assert target.read_text() == "new\n"
    assert target.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["labels.txt"]


def test_manifest_round_trip(tmp_path: Path) -> None:
    """A written manifest reads back equal, and fields that this program does not know are ignored."""
    write_manifest(tmp_path, manifest_of())
    assert read_manifest(tmp_path) == manifest_of()
    raw = msgspec.json.decode((tmp_path / "manifest.json").read_bytes())
    raw["later"] = {"more": 1}
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(raw))
    assert read_manifest(tmp_path) == manifest_of()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a manifest"),
        (b"{}", "is not a manifest"),
        (b'{"format": 1}', "is not a manifest"),
        (b'{"format": 2, "new": "shape"}', "has format 2; this program reads format 1"),
    ],
)
def test_manifests_that_cannot_be_understood_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """Malformed and future manifests are refused with the reason."""
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match=message):
        read_manifest(tmp_path)


def test_an_absent_manifest_is_refused(tmp_path: Path) -> None:
    """A folder without a manifest, such as a half-copied one, is no bundle."""
    with pytest.raises(BundleError, match="cannot be read: No such file"):
        bundle.open_bundle(tmp_path)


@pytest.mark.parametrize("unproven", ["model.onnx", "golden/answers.json", "golden/0.png"])
def test_what_is_used_must_have_a_hash(tmp_path: Path, unproven: str) -> None:
    """A manifest that leaves out a file which serving uses is refused, since nothing would prove that file."""
    path = write_bundle(tmp_path)
    manifest = read_manifest(path)
    files = {name: sha256 for name, sha256 in manifest.files.items() if name != unproven}
    write_manifest(path, msgspec.structs.replace(manifest, files=files))
    with pytest.raises(BundleError, match=f"has no hash of {unproven}"):
        load_model(path, ModelOptions())


@pytest.mark.parametrize(
    "change",
    [
        {"image": {"height": 0, "width": 8, "channels": 3}},
        {"image": {"height": 8, "width": 70_000, "channels": 3}},
        {"image": {"height": 8, "width": 8, "channels": 2}},
        {"version": 0},
        {"version": 2**63},
        {"class_names": ["one"]},
        {"class_names": ["one", "one"]},
        {"files": {"a\0b": "0"}},
    ],
)
def test_impossible_values_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Sizes, versions, classes and file names that cannot be are a refusal of the bundle, not a crash."""
    path = write_bundle(tmp_path)
    raw = msgspec.json.decode((path / "manifest.json").read_bytes())
    for name, value in change.items():
        raw[name] = {**raw[name], **value} if isinstance(value, dict) else value
    (path / "manifest.json").write_bytes(msgspec.json.encode(raw))
    with pytest.raises(BundleError):
        load_model(path, ModelOptions())


def test_a_manifest_nested_without_end_is_refused(tmp_path: Path) -> None:
    """Thousands of brackets refuse the bundle instead of ending the process."""
    path = write_bundle(tmp_path)
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"seed": 100', '"seed": ' + "[" * 100_000 + "]" * 100_000))
    with pytest.raises(BundleError, match="is not a manifest"):
        load_model(path, ModelOptions())


@pytest.mark.parametrize("version", DECODERS)
def test_images_are_decoded_as_the_bundle_was_trained(tmp_path: Path, version: int) -> None:
    """A bundle's own version of the pixel function decodes for it, golden images and later ones."""
    model = load_model(write_bundle(tmp_path, pixels=version), ModelOptions(engine="openvino"))
    image, shape = encode("PNG"), model.manifest.image
    expected = DECODERS[version](image, shape.height, shape.width, shape.channels)
    np.testing.assert_array_equal(model.decode(image), expected)
    model.engine.close()
