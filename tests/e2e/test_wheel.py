"""The wheel in environments of its own: what a user installs is what serves."""

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from cnnsvc.client import Client
from tests.bundles import CLASS_NAMES, write_bundle
from tests.e2e.server import serving
from tests.encoded import encode
from tests.images import write_image_folder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def _run(*words: object) -> str:
    finished = subprocess.run([*map(str, words)], cwd="/", capture_output=True, text=True, timeout=280)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT)
    (wheel,) = folder.glob("cnnsvc-*.whl")
    return wheel


def _install(environment: Path, wheel: Path, *more: str) -> Path:
    """An environment with the locked serving packages and the wheel; the cnnsvc command in it."""
    _run(UV, "venv", "--quiet", "--python", sys.executable, environment)
    python = environment / "bin" / "python"
    install = [UV, "pip", "install", "--quiet", "--python", python]
    _run(*install, "--no-deps", "--require-hashes", "-r", ROOT / "requirements" / "serve.txt")
    if more:
        _run(*install, "--no-deps", *more)
    _run(*install, "--no-deps", wheel)
    return environment / "bin" / "cnnsvc"


def _check_serving(command: Path, tmp_path: Path) -> None:
    """Both doors answer, and the command line classifies, from the root folder."""
    bundle = write_bundle(tmp_path / "models")
    image = tmp_path / "image.png"
    image.write_bytes(encode("PNG"))
    with serving("--models-dir", tmp_path / "models", command=[command], cwd=Path("/")) as server:
        answer = httpx.post(f"{server.http_url}/api/v1/classify", content=image.read_bytes())
        assert answer.json()["results"][0]["classes"][0]["name"] in CLASS_NAMES
        for page in ("/", "/page/app.js", "/page/page.css", "/docs"):
            assert httpx.get(f"{server.http_url}{page}").status_code == 200
        client = Client(server.grpc_address)
        assert client.classify(image.read_bytes()).model == "flowers"
        client.close()
        through_server = _run(command, "classify", "--csv", "--server", server.grpc_address, image)
    assert through_server == _run(command, "classify", "--csv", "--bundle", bundle, image)


def test_the_base_install_serves_without_tensorflow(wheel: Path, tmp_path: Path) -> None:
    """In an empty environment the wheel and its locked base packages serve a bundle; no training package is there."""
    command = _install(tmp_path / "environment", wheel)
    installed = _run(UV, "pip", "list", "--quiet", "--python", command.with_name("python"))
    assert not {"tensorflow", "keras", "onnx", "tf2onnx", "matplotlib", "opencv-python-headless"} & set(
        installed.split()
    )
    assert "26" in _run(command, "networks", "--image-size", "180", "--classes", "9")
    assert "--epochs" in _run(command, "train", "--help")
    _check_serving(command, tmp_path)


def test_the_wheel_holds_the_report_page(wheel: Path) -> None:
    """What is not Python travels too: the template of the report page and its style."""
    with zipfile.ZipFile(wheel) as archive:
        assert {"training/report_page.html.j2", "training/report_page.css"} <= set(archive.namelist())


def test_training_without_its_extra_says_what_to_install(wheel: Path, tmp_path: Path) -> None:
    """`cnnsvc train` in the base install is one line that names the extra."""
    command = _install(tmp_path / "environment", wheel)
    write_image_folder(tmp_path / "images")
    words = [command, "train", tmp_path / "images", "--name", "shapes", "--models-dir", tmp_path / "models"]
    finished = subprocess.run([*map(str, words)], cwd="/", capture_output=True, text=True, timeout=60)
    assert finished.returncode == 1
    assert "cnnsvc[train]" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_bundle_that_opencv_stretches_for_says_what_to_install(wheel: Path, tmp_path: Path) -> None:
    """A bundle of version 1 of the pixel function is refused in one line that names the extra, and served with it."""
    bundle = write_bundle(tmp_path / "models", pixels=1)
    image = tmp_path / "image.png"
    image.write_bytes(encode("PNG"))
    words = ["classify", "--csv", "--bundle", bundle, image]
    command = _install(tmp_path / "environment", wheel)
    finished = subprocess.run([str(command), *map(str, words)], cwd="/", capture_output=True, text=True, timeout=60)
    assert finished.returncode == 1
    assert "pip install 'cnnsvc[opencv]'" in finished.stderr
    assert "Traceback" not in finished.stderr
    opencv = f"opencv-python-headless=={importlib.metadata.version('opencv-python-headless')}"
    _run(UV, "pip", "install", "--quiet", "--python", command.with_name("python"), "--no-deps", opencv)
    assert any(name in _run(command, *words) for name in CLASS_NAMES)


def test_the_oldest_supported_protobuf_and_grpc_work(wheel: Path, tmp_path: Path) -> None:
    """The committed stubs serve with protobuf 6.33 and the grpcio of their making; other tests use the newest.

    Stubs of google.rpc demand the protobuf of their own making, which is newer than the oldest in later versions.
    """
    oldest = [f"{name}==1.76.0" for name in ("grpcio", "grpcio-health-checking", "grpcio-reflection")]
    command = _install(tmp_path / "environment", wheel, "protobuf==6.33.0", "googleapis-common-protos==1.70.0", *oldest)
    _check_serving(command, tmp_path)
