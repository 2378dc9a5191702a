"""Small finished trainings to export: random weights, but batch normalisation as if it had seen data."""

from pathlib import Path

import keras
import numpy as np
from keras import layers

from cnnsvc import pixels
from cnnsvc.manifest import ImageShape
from tests.images import write_image_folder
from training.originals import sha256_of
from training.trained import EpochRecord, Labelled, Trained

SIZE = 24


def tiny_network(
    channels: int = 3, num_classes: int = 3, *, seed: int = 0, has_norm_behind_relu: bool = False
) -> keras.Model:
    """Batch normalisation, dropout, one hidden layer; the same seed gives the same weights."""
    network = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, channels)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(4, 3, activation="relu"),
            *([layers.BatchNormalization()] if has_norm_behind_relu else []),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(8, activation="relu"),
            layers.Dense(num_classes, activation="softmax"),
        ]
    )
    random = np.random.default_rng(seed)
    for weight in network.weights:
        values = random.normal(0, 0.3, weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return network


def finished_training(folder: Path, *, channels: int = 3, images_per_class: int = 8, name: str = "shapes") -> Trained:
    """A tiny network with a validation split of generated JPEGs, which it need not classify well.

    They are twice as large as it wants them, a scale that TensorFlow's decoder has too.
    """
    class_names = write_image_folder(folder, 3, images_per_class, 2 * SIZE, extension=".jpg")
    files = sorted(folder.rglob("*.jpg"))
    validation = labelled(files, class_names, channels)
    return Trained(
        name=name,
        network=tiny_network(channels),
        network_name="custom",
        notation="C: 4n 4 d¼ D: 8R",
        class_names=class_names,
        image=ImageShape(SIZE, SIZE, channels),
        validation=validation,
        calibration_nhwc=validation.images_nhwc,
        history=[EpochRecord(epoch, 1 / epoch, 0.5, 1.1 / epoch, 0.4, 100.0, 1.5) for epoch in (1, 2, 3)],
        best_epoch=2,
        facts={"settings": {"seed": 100}},
        folder=folder,
    )


def labelled(files: list[Path], class_names: list[str], channels: int) -> Labelled:
    """The files decoded, labelled by their folders."""
    labels = np.array([class_names.index(file.parent.name) for file in files], np.int32)
    contents = [file.read_bytes() for file in files]
    images_nhwc = np.stack([pixels.decode(content, SIZE, SIZE, channels) for content in contents])
    return Labelled(files, images_nhwc, labels, [sha256_of(content) for content in contents])
