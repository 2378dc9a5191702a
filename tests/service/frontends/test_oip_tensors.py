"""Input tensors to images."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnnsvc.errors import CnnsvcError
from cnnsvc.manifest import ImageShape
from service.frontends.oip_tensors import InputTensor, encoded_images, is_encoded, pixel_images

SHAPE = ImageShape(2, 3, 3)
PIXELS = np.arange(36, dtype=np.uint8).reshape(2, 2, 3, 3)


def tensor(values: Any, datatype: str = "UINT8", shape: list[int] | None = None) -> InputTensor:
    return InputTensor("image", datatype, list(values.shape) if shape is None else shape, values.tobytes())


@pytest.mark.parametrize(
    "given",
    [
        tensor(PIXELS),
        tensor(PIXELS.astype("<f4"), "FP32"),
        tensor(PIXELS.astype("<f4") + np.float32(0.4), "FP32"),
        tensor(PIXELS.transpose(0, 3, 1, 2)),
        InputTensor("image", "UINT8", [2, 2, 3, 3], lambda count: PIXELS.ravel()[:count].astype(np.uint32)),
    ],
)
def test_pixels(given: InputTensor) -> None:
    """Of either type, rounded, channels last or first, in bytes or one by one: uint8 (H, W, C), contiguous."""
    assert not is_encoded(given)
    images = pixel_images(given, SHAPE, 4)
    assert len(images) == 2
    for image, expected in zip(images, PIXELS, strict=True):
        assert isinstance(image, np.ndarray)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        assert np.array_equal(image, expected)


def test_halves_are_rounded_to_even() -> None:
    """As numpy and IEEE 754 do."""
    values = np.array([0.5, 1.5, 2.5, 254.5, 255, 0], np.float32).reshape(1, 1, 2, 3)
    (image,) = pixel_images(tensor(values, "FP32"), ImageShape(1, 2, 3), 4)
    assert isinstance(image, np.ndarray)
    assert image.ravel().tolist() == [0, 2, 2, 254, 255, 0]


def test_black_and_almost_black_pixels_are_no_fractions() -> None:
    """Whole numbers up to 1 are what they say."""
    for value in (0, 1):
        (image,) = pixel_images(tensor(np.full((1, 2, 3, 3), value, np.float32), "FP32"), SHAPE, 4)
        assert np.array_equal(image, np.full((2, 3, 3), value))


def test_a_shape_that_is_both_is_the_declared_one() -> None:
    """Channels last."""
    values = np.arange(27, dtype=np.uint8).reshape(1, 3, 3, 3)
    (image,) = pixel_images(tensor(values), ImageShape(3, 3, 3), 4)
    assert np.array_equal(image, values[0])


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_encoded_images(shape: list[int]) -> None:
    """One an element, whatever is in them."""
    raw = b"\1\0\0\0a\2\0\0\0bc"
    given = InputTensor("image", "BYTES", shape, raw)
    assert is_encoded(given)
    assert encoded_images(given, 4) == [b"a", b"bc"]


def floats(value: float) -> Any:
    return np.full((1, 2, 3, 3), value, np.float32)


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (InputTensor("data", "UINT8", [1], b""), "invalid", "the model takes one input, 'image'"),
        (InputTensor("image", "INT64", [1], b""), "unsupported", "allowed are UINT8, FP32"),
        (InputTensor("image", "uint8", [1], b""), "unsupported", "datatype 'uint8'"),
        (tensor(PIXELS, shape=[2, 3, 3, 2]), "invalid", "expected [N, 2, 3, 3], as the metadata say, or [N, 3, 2, 3]"),
        (tensor(PIXELS, shape=[36]), "invalid", "of shape [36] came"),
        (tensor(PIXELS, shape=[]), "invalid", "of shape [] came"),
        (tensor(PIXELS, shape=[-2, 2, 3, 3]), "invalid", "expected at least one image"),
        (tensor(PIXELS, shape=[0, 2, 3, 3]), "invalid", "expected at least one image"),
        (tensor(PIXELS, shape=[2**70, 2, 3, 3]), "too_large", "allowed are 4"),
        (tensor(PIXELS, shape=[-1, -2, -3, 3]), "invalid", "of shape [-1, -2, -3, 3] came"),
        (tensor(PIXELS, shape=[1, 2, 3, 3]), "invalid", "36 bytes came for UINT8 of shape [1, 2, 3, 3]; expected 18"),
        (tensor(PIXELS, "FP32"), "invalid", "36 bytes came for FP32 of shape [2, 2, 3, 3]; expected 144"),
        (tensor(floats(-1.5), "FP32"), "invalid", "from -1.5 to -1.5 came; expected 0 to 255"),
        (tensor(floats(255.4), "FP32"), "invalid", "expected 0 to 255"),
        (tensor(floats(np.nan), "FP32"), "invalid", "expected 0 to 255"),
        (tensor(floats(np.inf), "FP32"), "invalid", "expected 0 to 255"),
        (tensor(floats(0.5), "FP32"), "invalid", "fractions of 1"),
        (
            InputTensor("image", "UINT8", [1, 2, 3, 3], lambda count: np.full(count, 256, np.uint32)),
            "invalid",
            "0 to 255",
        ),
        (
            InputTensor("image", "UINT8", [1, 2, 3, 3], lambda count: np.zeros(count - 1, np.uint32)),
            "invalid",
            "17 numbers came for the shape [1, 2, 3, 3]; expected 18",
        ),
        (InputTensor("image", "BYTES", [], b""), "invalid", "expected [N] or [N, 1]"),
        (InputTensor("image", "BYTES", [1, 2], b""), "invalid", "expected [N] or [N, 1]"),
        (InputTensor("image", "BYTES", [1, 1, 1], b""), "invalid", "expected [N] or [N, 1]"),
        (InputTensor("image", "BYTES", [0], b""), "invalid", "at least one image"),
        (InputTensor("image", "BYTES", [-1], b""), "invalid", "at least one image"),
        (InputTensor("image", "BYTES", [5], b""), "too_large", "has 5 images; allowed are 4"),
        (InputTensor("image", "BYTES", [2], lambda count: [b"a"]), "invalid", "1 elements came for the shape [2]"),
    ],
)
def test_refusals(given: InputTensor, kind: str, words: str) -> None:
    """What came and what is expected; nothing of it is inferred."""

    def read() -> list[Any]:
        return encoded_images(given, 4) if is_encoded(given) else pixel_images(given, SHAPE, 4)

    error = refused(read)
    assert (error.kind, words in str(error)) == (kind, True), str(error)


def test_long_shapes_are_shown_short() -> None:
    """A caller's list is not repeated back at length, and nothing is multiplied before it is judged."""
    given = InputTensor("image", "UINT8", [10**18] * 100_000, lambda count: np.zeros(1))
    assert len(str(refused(lambda: pixel_images(given, SHAPE, 4)))) < 300


def refused(read: Callable[[], object]) -> CnnsvcError:
    with pytest.raises(CnnsvcError) as caught:
        read()
    return caught.value
