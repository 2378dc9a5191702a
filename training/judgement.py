"""How good a network is on images that it was judged on, in figures; JSON-ready, in numpy alone."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cnnsvc.engines.base import Scores
from training.evaluate import ClassQuality, Labels, class_qualities, confusion_matrix, cross_entropy, majority_share
from training.intervals import wilson_interval
from training.report_findings import Confusion, frequent_confusions

NUM_CONFUSIONS: Final = 10


@dataclass(frozen=True)
class Accuracy:
    num_images: int
    num_right: int
    accuracy: float
    interval: tuple[float, float]
    """Where the accuracy lies with 95 % certainty, were the images drawn anew."""


@dataclass(frozen=True)
class Judgement(Accuracy):
    majority_share: float
    """Accuracy of always naming the largest class."""
    balanced_accuracy: float
    """Mean recall of the classes that have images."""
    macro_f1: float
    """Mean F1 of the classes that have images."""
    log_loss: float
    """Mean of -log of the right class's score, in nats; scores count as 1e-7 at least."""
    classes: list[ClassQuality]
    """In the order of the class names."""
    confusions: list[Confusion]
    """The most frequent ones."""
    confusion: list[list[int]]
    """Images by their class (rows) and by the class they were given (columns)."""


def judgement_of(scores_nk: Scores, labels: Labels, class_names: list[str]) -> Judgement:
    """From float32 (N, K) scores of at least one image."""
    confusion_kk = confusion_matrix(scores_nk, labels)
    qualities = class_qualities(confusion_kk, class_names)
    present = [one for one in qualities if one.num_images]
    return Judgement(
        **vars(accuracy_of(int(np.trace(confusion_kk)), len(labels))),
        majority_share=majority_share(labels),
        balanced_accuracy=float(np.mean([one.recall for one in present])),
        macro_f1=float(np.mean([one.f1 for one in present])),
        log_loss=cross_entropy(scores_nk, labels),
        classes=qualities,
        confusions=frequent_confusions(confusion_kk, class_names, NUM_CONFUSIONS),
        confusion=confusion_kk.tolist(),
    )


def accuracy_of(num_right: int, num_images: int) -> Accuracy:
    """Of at least one image."""
    share = num_right / num_images
    return Accuracy(num_images, num_right, share, wilson_interval(share, num_images))


def accuracy_text(found: Accuracy) -> str:
    """0.605 (121 of 200 images right; 95 % interval 0.536 to 0.670)."""
    low, high = found.interval
    return (
        f"{found.accuracy:.3f} ({found.num_right:,} of {found.num_images:,} images right;"
        f" 95 % interval {low:.3f} to {high:.3f})"
    )
