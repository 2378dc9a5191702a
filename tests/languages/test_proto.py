"""The interface in proto/, as buf sees it: well made, and unbroken since the last release."""

import shutil
import subprocess
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tests.languages.programs import ROOT, printed, run

pytestmark = pytest.mark.slow

PROTO = ROOT / "proto"
BASELINE = PROTO / "baseline.binpb"
INTERFACE = Path("cnnsvc", "pb", "classifier.proto")


def _changed(folder: Path, old: str, new: str) -> Path:
    """A copy of proto/ in which `old`, which is there once, reads `new`."""
    copy = shutil.copytree(PROTO, folder / "proto")
    source = (copy / INTERFACE).read_text()
    assert source.count(old) == 1
    (copy / INTERFACE).write_text(source.replace(old, new))
    return copy


def _breaking(folder: Path) -> subprocess.CompletedProcess[str]:
    return run("buf", "breaking", folder, "--against", BASELINE)


def test_the_interface_keeps_to_the_rules() -> None:
    """buf's linter has nothing to say, but for the rules that proto/buf.yaml leaves out with their reasons."""
    assert printed("buf", "lint", PROTO) == ""


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("message ScoredClass {", "message scored_class {\n}\nmessage ScoredClass {", "should be PascalCase"),
        ("float decode_ms = 1;", "float decodeMs = 1;", "should be lower_snake_case"),
    ],
)
def test_the_linter_sees_the_interface(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """A name against the rules in the interface is reported."""
    linted = run("buf", "lint", _changed(tmp_path, old, new))
    assert linted.returncode != 0
    assert complaint in linted.stdout


def test_the_interface_breaks_no_caller() -> None:
    """Nothing that the last release offered has gone or changed its meaning."""
    found = _breaking(PROTO)
    assert found.returncode == 0, f"{found.stdout}{found.stderr}if that is meant: make proto-baseline"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("  repeated bytes images = 1;", "  repeated bytes images = 9;", 'field "1" with name "images"'),
        ("int32 image_channels = 7;", "string image_channels = 7;", "changed type"),
        ("  // openvino or onnxruntime.\n  string engine = 8;\n", "", 'field "8" with name "engine"'),
        ("  string kind = 1;", "  string cause = 1;", "changed name"),
        (
            "  rpc ListModels(ListModelsRequest) returns (ListModelsResponse);\n",
            "",
            'RPC "ListModels" on service "Classifier" was deleted',
        ),
    ],
)
def test_a_breaking_change_is_found(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """Another number, type or name of a field, and a field or method that is gone, are reported with their place."""
    found = _breaking(_changed(tmp_path, old, new))
    assert found.returncode != 0
    assert complaint in found.stdout
    assert str(INTERFACE) in found.stdout


def test_an_addition_breaks_nobody(tmp_path: Path) -> None:
    """A new field is no breaking change."""
    found = _breaking(_changed(tmp_path, "  float score = 2;", "  float score = 2;\n  int32 rank = 3;"))
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_baseline_is_of_the_interface_alone() -> None:
    """It is what proto/baseline.sh writes: descriptors of the one file that is ours to keep, without comments."""
    descriptors = FileDescriptorSet.FromString(BASELINE.read_bytes())
    assert [file.name for file in descriptors.file] == [INTERFACE.as_posix()]
    assert not descriptors.file[0].HasField("source_code_info")


def test_a_baseline_can_be_made_again(tmp_path: Path) -> None:
    """proto/baseline.sh writes one that the interface of now does not break."""
    printed("buf", "--version")  # or this is skipped
    written = tmp_path / "baseline.binpb"
    subprocess.run([PROTO / "baseline.sh", written], check=True, timeout=60)
    found = run("buf", "breaking", PROTO, "--against", written)
    assert found.returncode == 0, found.stdout + found.stderr
