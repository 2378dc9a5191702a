"""The rules of the layout: who imports whom, fresh stubs, and what serving loads."""

import subprocess
import sys
from pathlib import Path

import pytest

import cnnsvc
import service
import training

ROOT = Path(__file__).parent.parent


def _run(*command: str | Path, cwd: Path = ROOT) -> str:
    finished = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=250)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_the_three_packages_are_siblings() -> None:
    """service and training lie beside cnnsvc: no other installed package of that name shadows them."""
    folders = {Path(str(package.__file__)).parent.parent for package in (cnnsvc, service, training)}
    assert folders == {ROOT}


def test_serving_loads_no_training() -> None:
    """The whole server, wired, has neither TensorFlow, Keras, onnx, matplotlib nor training in its process."""
    program = (
        "import service.command, service.app, cnnsvc.model, cnnsvc.cli, sys\n"
        "from cnnsvc.engines.load import open_engine\n"
        "print(*sorted({name.partition('.')[0] for name, module in sys.modules.items() if module}))"
    )
    loaded = set(_run(sys.executable, "-c", program).split())
    assert {"service", "cnnsvc", "grpc", "uvicorn"} <= loaded
    assert loaded.isdisjoint({"training", "tensorflow", "keras", "tf2onnx", "onnx", "matplotlib", "tensorflow_serving"})


def test_training_loads_no_server() -> None:
    """The training command's process holds nothing of service."""
    program = "import training.command, sys\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"
    assert "service" not in _run(sys.executable, "-c", program).split()


def test_imports_keep_to_the_floor_plan() -> None:
    """The import rules of pyproject.toml hold."""
    _run(Path(sys.executable).with_name("lint-imports"), "--no-cache")


@pytest.mark.slow
def test_stubs_are_fresh(tmp_path: Path) -> None:
    """Generating the stubs again from proto/ gives the committed files."""
    _run("proto/generate.sh", tmp_path)
    generated = sorted(file for file in tmp_path.rglob("*") if file.is_file())
    assert len(generated) == 2 * len(list((ROOT / "proto").rglob("*.proto"))) + 1, "and stubs of the native service"
    for file in generated:
        committed = ROOT / file.relative_to(tmp_path)
        assert file.read_text() == committed.read_text(), f"{committed} is stale: run make proto"
