"""Fits a network to the training images and keeps the weights of its best epoch; Keras 3's own operations only."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnnsvc.errors import TrainingError
from cnnsvc.manifest import ImageShape
from training.augment import augmented
from training.device import Device
from training.evaluate import accuracy, cross_entropy, predict_batch_size, predict_scores
from training.feed import Feed
from training.progress import Advance, Reporter
from training.settings import LEAST_ADVISED_RATE, ClassWeights, TrainSettings
from training.trained import EpochRecord, Labelled


@dataclass(frozen=True)
class Fitted:
    weights: list[NDArray[Any]]
    """Of the best epoch, in the order of the network's get_weights."""
    history: list[EpochRecord]
    best_epoch: int
    """By validation accuracy; of equals the one with the lower validation loss, then the earlier one."""


def fit(
    build: Callable[[], keras.Model],
    image: ImageShape,
    training: Labelled,
    validation: Labelled,
    settings: TrainSettings,
    device: Device,
    reporter: Reporter,
) -> Fitted:
    """Trains what `build` makes by the recipe in the settings. Raises TrainingError where the loss is no number."""
    settings = _with_even_batches(settings, device, reporter)
    keras.utils.set_random_seed(settings.seed)
    feed = Feed(training, settings.batch_size, seed=settings.seed, fills_last_batch=device.num_devices > 1)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(device.dtype_policy)
    try:
        with device.scope():
            network = build()
            trainee = augmented(network, image, settings.augment, seed=settings.seed)
            trainee.compile(
                optimizer=keras.optimizers.Adam(learning_rates(settings, num_steps=len(feed))),
                loss="sparse_categorical_crossentropy",
                metrics=["accuracy"],
                jit_compile=device.jit_compile,
            )
        with reporter.bar("training", settings.epochs * feed.num_images, speaks=False) as advance:
            keeper = _BestEpoch(network, feed, validation, settings, device, reporter, advance)
            trainee.fit(
                feed,
                epochs=settings.epochs,
                class_weight=class_weights(settings.class_weights, training.labels),
                callbacks=[keeper],
                verbose=0,
            )
    finally:
        keras.config.set_dtype_policy(before)
    return Fitted(keeper.weights, keeper.history, keeper.best.epoch)


def class_weights(choice: ClassWeights, labels: NDArray[np.int32]) -> dict[int, float] | None:
    """Balanced: every class weighs the same in the loss, and an image 1 on average. None: every image weighs 1."""
    if choice == "none":
        return None
    counts = np.bincount(labels)
    return {label: len(labels) / (len(counts) * count) for label, count in enumerate(counts.tolist())}


def is_better(one: EpochRecord, other: EpochRecord) -> bool:
    return (one.validation_accuracy, -one.validation_loss) > (other.validation_accuracy, -other.validation_loss)


def learning_rates(settings: TrainSettings, *, num_steps: int) -> Any:
    """A Keras schedule that climbs in a line, then falls in a cosine to 0; `num_steps` is of one epoch."""
    all_steps = settings.epochs * num_steps
    warmup_steps = min(round(settings.warmup_epochs * num_steps), all_steps - 1)
    if not warmup_steps:
        return keras.optimizers.schedules.CosineDecay(settings.learning_rate, all_steps)
    return keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / warmup_steps,  # a first step of 0 would be a step for nothing
        all_steps - warmup_steps,
        warmup_target=settings.learning_rate,
        warmup_steps=warmup_steps,
    )


def _with_even_batches(settings: TrainSettings, device: Device, reporter: Reporter) -> TrainSettings:
    """With a batch size that every device gets an equal part of: TensorFlow's strategy fails on any other."""
    batch_size = _split_evenly(settings.batch_size, device)
    if batch_size != settings.batch_size:
        reporter.say(
            f"--batch-size {settings.batch_size} becomes {batch_size}, a multiple of {device.num_devices} devices"
        )
    return replace(settings, batch_size=batch_size)


def _split_evenly(batch_size: int, device: Device) -> int:
    """At most that size, so that it takes no more memory, but at least one image a device."""
    return max(1, batch_size // device.num_devices) * device.num_devices


class _BestEpoch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
    """Validates after each epoch, reports it, keeps the best weights and stops when patience ends.

    Not Keras' own validation: under several devices that would count images twice or divide by empty parts.
    """

    def __init__(
        self,
        network: keras.Model,
        feed: Feed,
        validation: Labelled,
        settings: TrainSettings,
        device: Device,
        reporter: Reporter,
        advance: Advance,
    ) -> None:
        super().__init__()
        self.history: list[EpochRecord] = []
        self.weights: list[NDArray[Any]] = []
        self._network = network
        self._feed = feed
        self._validation = validation
        self._settings = settings
        # What is trained in one batch can also be predicted in one: there are no gradients to keep.
        self._predict_batch = _split_evenly(max(settings.batch_size, predict_batch_size(network)), device)
        self._reporter = reporter
        self._advance = advance

    @property
    def best(self) -> EpochRecord:
        return self.history[self._best]

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._feed.start_epoch(epoch + 1)
        self._started_at = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        # The loss is the epoch's mean so far, so it stays what it is once it is no number.
        if not np.isfinite(logs["loss"]):
            rate = self._settings.learning_rate
            slower = f"a --learning-rate below {rate:g}, " if rate > LEAST_ADVISED_RATE else ""
            raise TrainingError(
                f"the loss became {logs['loss']} in epoch {len(self.history) + 1}, step {batch + 1};"
                f" try {slower}--precision float32 or another network"
            )
        self._advance(min(self._settings.batch_size, self._feed.num_images - batch * self._settings.batch_size))

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        fitted_at = time.monotonic()
        scores = predict_scores(self._network, self._validation.images_nhwc, batch_size=self._predict_batch)
        penalties = sum(float(loss) for loss in self._network.losses)
        self.history.append(
            EpochRecord(
                epoch=epoch + 1,
                training_loss=logs["loss"],
                training_accuracy=logs["accuracy"],
                validation_loss=cross_entropy(scores, self._validation.labels) + penalties,
                validation_accuracy=accuracy(scores, self._validation.labels),
                images_per_second=self._feed.num_images / (fitted_at - self._started_at),
                seconds=time.monotonic() - self._started_at,
            )
        )
        self._keep_best()
        self._reporter.epoch(self.history[-1], self._settings.epochs)

    def _keep_best(self) -> None:
        if len(self.history) == 1 or is_better(self.history[-1], self.best):
            self._best = len(self.history) - 1
            self.weights = self._network.get_weights()
        # Patience looks at the accuracy alone: a dying network's loss may go on falling towards the class shares.
        accuracies = [record.validation_accuracy for record in self.history]
        num_epochs_since = len(accuracies) - 1 - int(np.argmax(accuracies))
        if self._settings.patience and num_epochs_since >= self._settings.patience:
            self.model.stop_training = True
