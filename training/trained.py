"""What a finished training hands to export and report: the network with everything needed to prove and describe it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cnnsvc.manifest import ImageShape
from training.honest_scores import FittedScores
from training.timings import UNTIMED, Timings

if TYPE_CHECKING:  # a folder is checked and decoded before TensorFlow's seconds of loading
    import keras

    from training.checkpoint import Checkpoint
    from training.held_out import HeldOut


@dataclass(frozen=True)
class EpochRecord:
    """One epoch; accuracies and losses are means over the whole split."""

    epoch: int
    """Counted from 1."""
    training_loss: float
    training_accuracy: float
    validation_loss: float
    validation_accuracy: float
    images_per_second: float
    seconds: float


@dataclass(frozen=True)
class Labelled:
    """Decoded images with their labels, as pixels made them."""

    files: list[Path]
    """N files, in the order of the rows."""
    images_nhwc: NDArray[np.uint8]
    """uint8 (N, H, W, C); may be memory-mapped."""
    labels: NDArray[np.int32]
    """int32 (N,), indices into the class names."""
    sha256s: list[str]
    """Of the files' contents when they were decoded."""


@dataclass(frozen=True)
class Trained:
    name: str
    network: "keras.Model"
    """Inference network of the best epoch: float32 (N, H, W, C), 0..255, to float32 (N, K) probabilities."""
    network_name: str
    """Name in the catalogue, or custom."""
    notation: str
    class_names: list[str]
    image: ImageShape
    validation: Labelled
    calibration_nhwc: NDArray[np.uint8]
    """A few training images, uint8 (N, H, W, C), by which numbers are rounded for speed."""
    history: list[EpochRecord]
    best_epoch: int
    facts: dict[str, Any]
    """Settings, seed, package versions, data fingerprint, unreadable files: JSON-ready, for manifest and report."""
    folder: Path
    """The data, one sub-folder a class: what the names of files are relative to."""
    checkpoint: "Checkpoint | None" = None
    """The state of the fit on disk, of no use once the bundle is published."""
    timings: Timings = UNTIMED
    """Without the export."""
    held_out: "HeldOut | None" = None
    """What it is yet to be tested on."""
    scores: FittedScores | None = None
    """What was fitted to the network's scores; its temperature is in the network already."""
