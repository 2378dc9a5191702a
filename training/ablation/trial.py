"""One run of a study: a network trained with one measure and one seed, and judged epoch by epoch."""

import dataclasses
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console

from cnnsvc.manifest import ImageShape
from training.ablation.measures import measure_of
from training.backend import chosen_backend, load_backend
from training.cache import fill_cache
from training.catalogue import resolve
from training.dataset import Split, Subset, scan
from training.notation import parse
from training.prepare import Prepared, prepare
from training.progress import Reporter
from training.quiet import quiet_loading
from training.settings import CHANNELS, TrainSettings
from training.trained import EpochRecord, Labelled

if TYPE_CHECKING:  # TensorFlow's import takes seconds
    import keras


class Trial(msgspec.Struct, frozen=True, order=True):
    seed: int
    measure: str


class Outcome(msgspec.Struct, frozen=True):
    """By epoch; a line of the study's file."""

    trial: Trial
    notation: str
    num_parameters: int
    best_epoch: int
    training: list[float]
    """Accuracies."""
    validation: list[float]
    test: list[float]
    """Of the test folder; empty without one."""
    seconds: float

    @property
    def best(self) -> int:
        return self.best_epoch - 1


@dataclasses.dataclass(frozen=True)
class Data:
    prepared: Prepared
    test: Labelled | None


def load(folder: Path, test: Path | None, settings: TrainSettings) -> Data:
    """The images of both folders, the first one split by the seed. Raises DatasetError."""
    size = settings.image_size or resolve(settings.model, settings.arch).image_size
    image, reporter = ImageShape(size, size, CHANNELS[settings.color]), _silent()
    prepared = prepare(scan(folder), image, settings, reporter)
    return Data(prepared, _everything(test, image, settings) if test else None)


def run(data: Data, settings: TrainSettings, measure: str) -> Outcome:
    """Trains once. Raises TrainingError, UnsupportedError."""
    changes = measure_of(measure)
    notation = str(resolve(settings.model, settings.arch).architecture)
    for old, new in changes.signs.items():
        notation = notation.replace(old, new)
    settings = dataclasses.replace(settings, **changes.settings)
    with quiet_loading():  # these load TensorFlow
        from training.fit import fit
        from training.network import NetworkChoices, build_network

        backend = load_backend(chosen_backend())
        device = backend.choose_device(settings)
    choices = dataclasses.replace(NetworkChoices(), **changes.choices)
    image, cache = data.prepared.image, data.prepared.cache
    judge = _Judge(data.test)

    def build() -> "keras.Model":
        num_classes = len(data.prepared.listing.class_names)
        judge.network = build_network(parse(notation), image, num_classes, seed=settings.seed, choices=choices)
        return judge.network

    with backend.memory_errors_told():
        fitted = fit(build, image, cache.training, cache.validation, settings, device, judge)
    return Outcome(
        Trial(settings.seed, measure),
        notation,
        judge.network.count_params(),
        fitted.best_epoch,
        [round(record.training_accuracy, 5) for record in fitted.history],
        [round(record.validation_accuracy, 5) for record in fitted.history],
        judge.accuracies,
        round(sum(record.seconds for record in fitted.history), 1),
    )


class _Judge(Reporter):
    """Says nothing, and tries the network on the test images after each epoch."""

    def __init__(self, test: Labelled | None) -> None:
        super().__init__(Console(file=io.StringIO()))
        self.network: Any = None
        self.accuracies: list[float] = []
        self._test = test

    def epoch(self, record: EpochRecord, num_epochs: int) -> None:
        from training.evaluate import accuracy, predict_batch_size, predict_scores

        if self._test:
            batch_size = predict_batch_size(self.network)
            scores = predict_scores(self.network, self._test.images_nhwc, batch_size=batch_size)
            self.accuracies.append(round(accuracy(scores, self._test.labels), 5))


def _everything(folder: Path, image: ImageShape, settings: TrainSettings) -> Labelled:
    listing = scan(folder)
    images = Subset(listing.files, listing.labels)
    split = Split(images, dataclasses.replace(images, files=images.files[:1], labels=images.labels[:1]))
    return fill_cache(listing, split, image, limit_mib=settings.cache_limit_mib, reporter=_silent()).training


def _silent() -> Reporter:
    return Reporter(Console(file=io.StringIO()))
