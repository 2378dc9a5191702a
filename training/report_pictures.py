"""The pictures of the report page as data URIs: images as the network sees them, and the matrix of many classes."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnsvc import pixels
from cnnsvc.engines.base import Scores
from cnnsvc.engines.golden import GOLDEN_DIR, read_golden
from cnnsvc.manifest import Manifest
from training.trained import Trained

MAX_MISTAKES: Final = 24
_MAX_SIDE: Final = 128
# JPEG costs 4 KB an image at this quality, 24 of them less than a tenth of what the page may weigh.
_JPEG_QUALITY: Final = 85
_RIGHT_RGB: Final = (37, 99, 235)
_WRONG_RGB: Final = (217, 88, 13)


@dataclass(frozen=True)
class Mistake:
    """One validation image that the network named wrong."""

    picture: str
    file: str
    """Relative to the folder of the data."""
    true_name: str
    true_score: float
    predicted_name: str
    predicted_score: float


@dataclass(frozen=True)
class GoldenImage:
    picture: str
    file: str
    """Name in golden/."""
    best_name: str
    best_score: float


def most_confident_mistakes(trained: Trained, scores_nk: Scores) -> list[Mistake]:
    """Where the network, by its float32 (N, K) scores of the validation split, was surest of a wrong class."""
    validation, names = trained.validation, trained.class_names
    predicted = scores_nk.argmax(axis=1)
    wrong = np.flatnonzero(predicted != validation.labels)
    surest = wrong[np.argsort(-scores_nk[wrong].max(axis=1), kind="stable")][:MAX_MISTAKES]
    return [
        Mistake(
            picture=thumbnail(validation.images_nhwc[row]),
            file=str(validation.files[row].relative_to(trained.folder)),
            true_name=names[validation.labels[row]],
            true_score=float(scores_nk[row, validation.labels[row]]),
            predicted_name=names[predicted[row]],
            predicted_score=float(scores_nk[row, predicted[row]]),
        )
        for row in surest.tolist()
    ]


def golden_images(folder: Path, manifest: Manifest) -> list[GoldenImage]:
    """The golden images of a bundle folder, with what the first artifact answers to each."""
    golden = read_golden(folder)
    shape, decode = manifest.image, pixels.decoder(manifest.pixels)
    scores_nk = next(iter(golden.scores.values()))
    images = []
    for file, scores in zip(golden.images, scores_nk, strict=True):
        image = decode((folder / GOLDEN_DIR / file).read_bytes(), shape.height, shape.width, shape.channels)
        best = int(np.argmax(scores))
        images.append(GoldenImage(thumbnail(image), file, manifest.class_names[best], scores[best]))
    return images


def thumbnail(image_hwc: NDArray[np.uint8], max_side: int = _MAX_SIDE) -> str:
    """A JPEG of at most so many pixels a side of a grey or RGB image."""
    image = _pillow(image_hwc)
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return _data_uri("jpeg", stream.getvalue())


def exact_picture(image_hwc: NDArray[np.uint8]) -> str:
    """A PNG of the very pixels of a grey or RGB image."""
    stream = io.BytesIO()
    _pillow(image_hwc).save(stream, "PNG", optimize=True)
    return _data_uri("png", stream.getvalue())


def matrix_picture(confusion_kk: NDArray[np.int64]) -> str:
    """A PNG of one pixel a cell: blue where right, orange where wrong, the more opaque the larger its row's share."""
    shares = confusion_kk / confusion_kk.sum(axis=1, keepdims=True).clip(1)
    rgba = np.empty((*shares.shape, 4), np.uint8)
    rgba[..., :3] = _WRONG_RGB
    rgba[np.arange(len(shares)), np.arange(len(shares)), :3] = _RIGHT_RGB
    rgba[..., 3] = (255 * np.sqrt(shares)).round()  # a share of 1 % must be seen among hundreds of cells
    stream = io.BytesIO()
    Image.fromarray(rgba).save(stream, "PNG", optimize=True)
    return _data_uri("png", stream.getvalue())


def _pillow(image_hwc: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image_hwc[..., 0] if image_hwc.shape[2] == 1 else image_hwc))


def _data_uri(image_format: str, content: bytes) -> str:
    return f"data:image/{image_format};base64,{base64.b64encode(content).decode('ascii')}"
