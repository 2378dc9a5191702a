"""How decoded images come to the network's size."""

import resource
from collections.abc import Callable

import numpy as np
import pytest
from cykooz_resizer import CpuExtensions, Resizer
from PIL import Image

from cnnsvc import stretch as module
from cnnsvc.stretch import Pixels, stretch
from tests.encoded import scene

SIZES = [(60, 80), (24, 32), (23, 31), (90, 200), (30, 200), (200, 30), (1, 1), (1, 300), (300, 1)]


def noise(height: int, width: int, channels: int = 3) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", [(60, 80), (333, 250), (1, 97), (97, 1), (1, 1)])
def test_it_is_what_pillow_calls_bilinear(source: tuple[int, int], size: tuple[int, int], channels: int) -> None:
    """Another library's triangle filter gives the same values to within 1, whichever axes grow or shrink."""
    image = noise(*source, channels)
    reference = Image.fromarray(image.squeeze(axis=2) if channels == 1 else image)
    expected = np.asarray(reference.resize(size[::-1], Image.Resampling.BILINEAR)).reshape(*size, channels)
    found = stretch(image, *size)
    assert found.dtype == np.uint8
    assert found.shape == (*size, channels)
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("extensions", [CpuExtensions.none, CpuExtensions.sse4_1])
def test_every_processor_gives_the_same_bytes(extensions: CpuExtensions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vector instructions make it faster and change no byte, so that bundles can move between machines."""

    def limited() -> Resizer:
        resizer = Resizer()
        resizer.cpu_extensions = extensions
        return resizer

    images = [noise(211, 157, channels) for channels in (1, 3)]
    usual = [stretch(image, *size) for image in images for size in SIZES]
    monkeypatch.setattr(module, "Resizer", limited)
    found = [stretch(image, *size) for image in images for size in SIZES]
    for one, other in zip(usual, found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("turn", [lambda image: image[::-1], lambda image: image.transpose(1, 0, 2)[:, ::-1]])
@pytest.mark.parametrize("size", [(60, 60), (60, 20), (90, 90)])
def test_how_pixels_lie_in_memory_does_not_matter(turn: Callable[[Pixels], Pixels], size: tuple[int, int]) -> None:
    """A mirrored or turned view gives what its copy gives; the result is contiguous and may be written to."""
    view = turn(scene(60, 60))
    found = stretch(view, *size)
    np.testing.assert_array_equal(found, stretch(view.copy(), *size))
    assert found.flags.c_contiguous
    found[0, 0] = 7


@pytest.mark.parametrize("source", [(1, 3_000_000), (3_000_000, 1)])
def test_a_line_of_pixels_costs_no_memory(source: tuple[int, int]) -> None:
    """Of a picture one pixel high nothing is made that is larger than both the picture and the result."""
    image = np.full((*source, 1), 200, np.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = stretch(image, 1024, 1024)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    assert (np.abs(found.astype(int) - 200) <= 1).all()


def test_a_flat_picture_stays_flat() -> None:
    """Weights sum to one: a picture of one colour keeps it exactly at every size."""
    for value in (0, 1, 127, 254, 255):
        for source in ((333, 250), (1, 40), (2000, 3), (1, 65_535)):
            for size in SIZES:
                assert (stretch(np.full((*source, 3), value, np.uint8), *size) == value).all()
