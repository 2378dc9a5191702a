"""What a preview of the augmentation shows: images as the network sees them, and views of them as training draws them.

Reading the images loads no TensorFlow, so that a wrong path is told at once.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from cnnsvc import pixels
from cnnsvc.errors import ImageError, InvalidError, TooLargeError
from cnnsvc.manifest import ImageShape
from training.backend import chosen_backend, load_backend
from training.catalogue import resolve
from training.dataset import scan
from training.originals import read_file
from training.printable import printable
from training.quiet import quiet_loading
from training.settings import CHANNELS, TrainSettings

NUM_VIEWS: Final = 12
MAX_CLASSES: Final = 12


@dataclass(frozen=True)
class Sample:
    class_name: str
    """Empty for an image given alone."""
    file: str
    """Its name without its folders: a page travels."""
    image_hwc: pixels.Pixels


def image_shape(settings: TrainSettings) -> ImageShape:
    """As a training with these settings would decode images."""
    size = settings.image_size or resolve(settings.model, settings.arch).image_size
    return ImageShape(size, size, CHANNELS[settings.color])


def read_samples(path: Path, image: ImageShape) -> tuple[list[Sample], int]:
    """The image, or the first readable one of each of the first classes of a folder; and how many classes are left out.

    Raises InvalidError for a path without an image, DatasetError for a folder that is none of classes.
    """
    if not _is_folder(path):
        return [Sample("", path.name, _decode(path, image))], 0
    listing = scan(path)
    samples = []
    for label, class_name in enumerate(listing.class_names[:MAX_CLASSES]):
        files = [listing.files[row] for row in np.flatnonzero(listing.labels == label)]
        samples.append(_first_readable(class_name, files, image))
    return samples, len(listing.class_names) - len(samples)


def views_of(samples: list[Sample], settings: TrainSettings) -> list[list[pixels.Pixels]]:
    """Of each image what some steps of a training make of it; nothing where its settings change nothing.

    Loads TensorFlow.
    """
    with quiet_loading():
        from training.augment import augmentation_layers

        load_backend(chosen_backend()).choose_device(
            replace(settings, device="cpu", precision="float32")
        )  # leaves a GPU to who trains on it
    layers = augmentation_layers(settings.augment, seed=settings.seed, strength=settings.augment_strength)
    num_views = NUM_VIEWS if layers else 0
    # One image a step: a batch of many large ones would not fit into every memory.
    return [[_changed(sample.image_hwc, layers) for _ in range(num_views)] for sample in samples]


def _changed(image_hwc: pixels.Pixels, layers: list[Any]) -> pixels.Pixels:
    outputs = image_hwc[np.newaxis].astype(np.float32)
    for layer in layers:
        outputs = layer(outputs, training=True)
    changed: pixels.Pixels = np.asarray(outputs)[0].clip(0, 255).round().astype(np.uint8)
    return changed


def _is_folder(path: Path) -> bool:
    try:
        if path.exists():
            return path.is_dir()
        reason = "is not there"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    raise InvalidError(f"{printable(str(path))} {reason}; expected an image, or a folder with one sub-folder a class")


def _first_readable(class_name: str, files: list[Path], image: ImageShape) -> Sample:
    for file in files:
        try:
            return Sample(class_name, file.name, _decode(file, image))
        except InvalidError as error:
            last = error
    raise InvalidError(f"class {class_name!r} has no image that can be read; the last of {len(files)}: {last}")


def _decode(file: Path, image: ImageShape) -> pixels.Pixels:
    try:
        return pixels.decode(read_file(file), image.height, image.width, image.channels)
    except (ImageError, TooLargeError) as error:
        raise InvalidError(f"{printable(str(file))}: {error}") from None
