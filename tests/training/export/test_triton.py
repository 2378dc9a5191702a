"""The files for Triton beside the version folders."""

from pathlib import Path

import msgspec

from tests.bundles import manifest_of
from training.export.triton import write_triton_files


def test_what_triton_reads(tmp_path: Path) -> None:
    """The configuration names the graph's input and output with their sizes; the labels are in order, one a line."""
    write_triton_files(tmp_path, manifest_of(class_names=["daisy", "rosé", "tulip"]))
    config = (tmp_path / "config.pbtxt").read_text()
    assert 'name: "flowers"' in config
    assert 'backend: "onnxruntime"' in config
    assert "max_batch_size: 32" in config
    assert 'name: "image" data_type: TYPE_UINT8 format: FORMAT_NHWC dims: [ 24, 32, 3 ]' in config
    assert 'name: "probabilities" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "labels.txt"' in config
    assert config.count("{") == config.count("}")
    assert (tmp_path / "labels.txt").read_text() == "daisy\nrosé\ntulip\n"


def test_an_older_version_does_not_replace_a_newer_ones_files(tmp_path: Path) -> None:
    """Of two trainings that finish at once the newer version's files stay."""
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    write_triton_files(tmp_path, msgspec.structs.replace(manifest_of(class_names=["new"]), version=2))
    write_triton_files(tmp_path, msgspec.structs.replace(manifest_of(class_names=["old"]), version=1))
    assert (tmp_path / "labels.txt").read_text() == "new\n"
