"""`cnnsvc networks`: what it prints, and that it needs no TensorFlow."""

import io
import subprocess
import sys

import pytest
from rich.console import Console

from cnnsvc.errors import InvalidError, NotationError
from training.network_table import print_networks


def _printed(
    image_size: int | None = None, num_classes: int = 9, show_layers: bool = False, architecture: str | None = None
) -> str:
    console = Console(file=io.StringIO(), width=100)
    print_networks(image_size, num_classes, 3, show_layers, architecture, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_catalogue_is_listed() -> None:
    """Each network stands there with its size, its notation, its flatten and its parameters."""
    text = _printed()
    for expected in ("C: 16n 16nv d¼ 32n 32nv d¼", "59,168", "963,897", "490,545", "180×180", "200×200", "80,000"):
        assert expected in text
    assert "convolution_1" not in text


def test_layers_are_listed() -> None:
    """With layers, every layer stands there with its shape and its parameters, and the sum below."""
    text = _printed(image_size=180, show_layers=True)
    for expected in ("convolution_4", "87×87×32", "9,248", "946,704", "192 not trainable"):
        assert expected in text


def test_notation_is_listed_alone() -> None:
    """A notation is shown instead of the catalogue."""
    text = _printed(image_size=32, num_classes=2, architecture="C: 8 D: 4R")
    assert "custom" in text
    assert "32×32" in text
    assert "listing" not in text


def test_too_small_an_image_for_some() -> None:
    """A network that the image is too small for says so, and the others are shown."""
    text = _printed(image_size=7)
    assert text.count("too small") == 3
    assert "26: convolution_4 '32nv' takes 3 x 3 pixels, but 2 x 2 are left" in text
    assert "figure: pooling_3 'p2' takes" in text
    assert text.count("7×7") == 4


@pytest.mark.parametrize(
    ("image_size", "num_classes", "architecture", "message"),
    [(1, 9, None, "takes"), (0, 9, None, "image size"), (180, 1, None, "classes"), (2, 9, "C: 8 p3", "pooling_1")],
)
def test_nothing_to_show_is_an_error(image_size: int, num_classes: int, architecture: str | None, message: str) -> None:
    """Where no network can be shown, the reason is raised."""
    with pytest.raises(InvalidError, match=message):
        _printed(image_size, num_classes, architecture=architecture)


def test_two_channels_are_refused() -> None:
    """Images are grey or colour."""
    with pytest.raises(InvalidError, match="2 channels"):
        print_networks(180, 9, 2, False, None, Console(file=io.StringIO()))


def test_unreadable_notation_is_an_error() -> None:
    """A notation that cannot be read keeps its column."""
    with pytest.raises(NotationError, match="column 6"):
        _printed(architecture="C: 8 9x")


def test_no_tensorflow_is_loaded() -> None:
    """Listing the networks loads neither TensorFlow nor Keras."""
    program = (
        "import sys; from training.network_table import print_networks; print_networks(180, 9, 3, True, None);"
        "loaded = {'tensorflow', 'keras'} & set(sys.modules); sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "963,897" in finished.stdout
