"""How good a network is on a split: predictions by Keras, everything after them in numpy."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.engines.base import Scores

if TYPE_CHECKING:  # the figures below need neither Keras nor its seconds of loading
    import keras

Labels = NDArray[np.int32]
"""int32 (N,), indices into the class names."""

DEAD_MARGIN: Final = 0.10
"""A network that beats naming the largest class by less has learned nothing worth serving."""


@dataclass(frozen=True)
class ClassQuality:
    """One class; a share of nothing is 0."""

    name: str
    num_images: int
    num_predicted: int
    num_right: int
    precision: float
    """Share of right ones among the images that were given this class."""
    recall: float
    """Share of right ones among the images of this class."""
    f1: float
    """Harmonic mean of the two."""


def predict_scores(network: "keras.Model", images_nhwc: NDArray[np.uint8], *, batch_size: int = 64) -> Scores:
    """Probabilities, float32 (N, K), of uint8 (N, H, W, C) in order."""
    from training.feed import ImageFeed  # loads Keras

    scores: Scores = network.predict(ImageFeed(images_nhwc, batch_size), verbose=0)
    return scores.astype(np.float32, copy=False)


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
                recall=_share(num_right, num_images),
                f1=_share(2 * num_right, num_images + num_predicted),
            )
        )
    return qualities


def majority_share(labels: Labels) -> float:
    """Accuracy of always naming the largest class."""
    return float(np.bincount(labels).max() / len(labels))


def least_accuracy(labels: Labels) -> float:
    """Validation accuracy below which a run counts as dead.

    The largest class's share and DEAD_MARGIN; where that class leaves less than twice the margin, half of what it
    leaves, since a share of 0.95 and 10 points cannot be reached.
    """
    share = majority_share(labels)
    return min(share + DEAD_MARGIN, (1 + share) / 2)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
