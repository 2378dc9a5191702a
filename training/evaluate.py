"""How good a network is on a split: predictions by Keras, everything after them in numpy."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.engines.base import Scores

if TYPE_CHECKING:  # the figures below need neither Keras nor its seconds of loading
    import keras

Labels = NDArray[np.int32]
"""int32 (N,), indices into the class names."""

DEAD_MARGIN_PERCENT: Final = 10
"""A network that beats naming the largest class by less has learned nothing worth serving."""

_MAX_BATCH: Final = 64
_BATCH_BYTES: Final = 2**26
"""For the output of the largest layer; engines hold a few times this. 32 images of network 26 at 180 x 180.

Of a network with 13 MB an image the whole run then needs 1.5 GB at most, of which 0.8 GB whatever the batch; 4.3 GB
with batches of 64.
"""


@dataclass(frozen=True)
class ClassQuality:
    """One class; of the shares, one that is a share of nothing is 0, unless said otherwise."""

    name: str
    num_images: int
    num_predicted: int
    num_right: int
    precision: float
    """Share of right ones among the images that were given this class."""
    recall: float | None
    """Share of right ones among the images of this class; None where there are none."""
    f1: float
    """Harmonic mean of the two."""


def predict_scores(network: "keras.Model", images_nhwc: NDArray[np.uint8], *, batch_size: int) -> Scores:
    """Probabilities, float32 (N, K), of uint8 (N, H, W, C) in order."""
    from training.feed import ImageFeed  # loads Keras

    scores: Scores = network.predict(ImageFeed(images_nhwc, batch_size), verbose=0)
    return scores[: len(images_nhwc)].astype(np.float32, copy=False)


def predict_batch_size(network: "keras.Model") -> int:
    """How many images may go through the network at once, so that memory depends little on network and image size."""
    largest = max(math.prod(layer.output.shape[1:]) for layer in network.layers)
    return int(max(1, min(_MAX_BATCH, _BATCH_BYTES // (largest * np.dtype(np.float32).itemsize))))


def accuracy(scores_nk: Scores, labels: Labels) -> float:
    return float(np.mean(scores_nk.argmax(axis=1) == labels))


def cross_entropy(scores_nk: Scores, labels: Labels) -> float:
    """Mean of -log of the right class's probability, bounded as in Keras at probabilities of 1e-7."""
    right = scores_nk[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(right.clip(1e-7, 1 - 1e-7)).mean())


def confusion_matrix(scores_nk: Scores, labels: Labels) -> NDArray[np.int64]:
    """int64 (K, K): images by their class (rows) and by the class they were given (columns)."""
    num_classes = scores_nk.shape[1]
    cells = labels.astype(np.int64) * num_classes + scores_nk.argmax(axis=1)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)


def class_qualities(confusion_kk: NDArray[np.int64], class_names: list[str]) -> list[ClassQuality]:
    """One row a class, in the order of the class names."""
    qualities = []
    for index, name in enumerate(class_names):
        num_right = int(confusion_kk[index, index])
        num_images, num_predicted = int(confusion_kk[index].sum()), int(confusion_kk[:, index].sum())
        qualities.append(
            ClassQuality(
                name,
                num_images,
                num_predicted,
                num_right,
                precision=_share(num_right, num_predicted),
                recall=_share(num_right, num_images) if num_images else None,
                f1=_share(2 * num_right, num_images + num_predicted),
            )
        )
    return qualities


def majority_share(labels: Labels) -> float:
    """Accuracy of always naming the largest class."""
    return num_majority(labels) / len(labels)


def num_majority(labels: Labels) -> int:
    """How many always naming the largest class gets right."""
    return int(np.bincount(labels).max())


def least_right(labels: Labels) -> int:
    """Images that a network must name right, or else the run counts as dead; in whole numbers, since 0.2 + 0.1 > 0.3.

    The largest class's share and the margin; where that class leaves less than twice the margin, half of what it
    leaves, since a share of 0.95 and 10 points cannot be reached.
    """
    majority, num_images = num_majority(labels), len(labels)
    with_margin = majority + -(-num_images * DEAD_MARGIN_PERCENT // 100)
    return min(with_margin, -(-(majority + num_images) // 2))


def has_learned(validation_accuracy: float, labels: Labels) -> bool:
    """Whether a share of right ones among the images with these labels is enough."""
    return round(validation_accuracy * len(labels)) >= least_right(labels)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
