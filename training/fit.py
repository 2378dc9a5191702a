"""Fits a network to the training images and keeps the weights of its best epoch; Keras 3's own operations only."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnnsvc.manifest import ImageShape
from training.augment import augmented
from training.device import Device
from training.evaluate import predict_batch_size
from training.feed import Feed
from training.keeper import BestEpoch
from training.progress import Reporter
from training.recipe import averaging, loss, optimizer
from training.settings import ClassWeights, TrainSettings
from training.trained import EpochRecord, Labelled


@dataclass(frozen=True)
class Fitted:
    weights: list[NDArray[Any]]
    """Of the best epoch, in the order of the network's get_weights."""
    history: list[EpochRecord]
    best_epoch: int
    """By training.keeper.best_of."""


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
                optimizer=optimizer(settings, num_steps=len(feed)),
                loss=loss(settings),
                metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
                jit_compile=device.jit_compile,
            )
        with reporter.bar("training", settings.epochs * feed.num_images, speaks=False) as advance:
            # What is trained in one batch can also be predicted in one: there are no gradients to keep.
            predict_batch = _split_evenly(max(settings.batch_size, predict_batch_size(network)), device)
            keeper = BestEpoch(network, feed, validation, settings, predict_batch, reporter, advance)
            trainee.fit(
                feed,
                epochs=settings.epochs,
                class_weight=class_weights(settings.class_weights, training.labels),
                callbacks=[*averaging(settings), keeper],
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
