"""Fits a network to the training images and keeps the weights of its best epoch; Keras 3's own operations only."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnnsvc.manifest import ImageShape
from training.augment import augmented
from training.checkpoint import Checkpoint, State
from training.device import Device
from training.evaluate import predict_batch_size
from training.feed import Feed
from training.keeper import BestEpoch, state_variables
from training.progress import Reporter
from training.recipe import averaging, loss, optimizer
from training.settings import Balance, TrainSettings
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
    checkpoint: Checkpoint | None = None,
) -> Fitted:
    """Trains what `build` makes by the recipe in the settings, leaving a checkpoint before each epoch but the first.

    Raises TrainingError where the loss is no number, InternalError where no checkpoint can be written, InvalidError
    where there is none and the settings ask to resume.
    """
    state = checkpoint.load() if checkpoint and settings.resume else None
    settings = _with_even_batches(settings, device, reporter)
    if keras.backend.backend() == "tensorflow":
        # Under others it would load TensorFlow for nothing: each layer has a seed of its own.
        keras.utils.set_random_seed(settings.seed)
    feed = Feed(
        training,
        settings.batch_size,
        seed=settings.seed,
        fills_last_batch=device.num_devices > 1,
        copies=settings.balance == "copies",
    )
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(device.dtype_policy)
    try:
        with device.scope():
            network = build()
            trainee = augmented(network, image, settings)
            trainee.compile(
                optimizer=optimizer(settings, num_steps=len(feed)),
                loss=loss(settings),
                metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
                jit_compile=device.jit_compile,
            )
            if state:
                _restore(trainee, state)
        epochs_done = len(state.history) if state else 0
        feed.start_epoch(epochs_done + 1)  # Keras takes the first batches before it says that an epoch begins
        with reporter.bar("training", settings.epochs * feed.num_images, speaks=False) as advance:
            # What is trained in one batch can also be predicted in one: there are no gradients to keep.
            predict_batch = _split_evenly(max(settings.batch_size, predict_batch_size(network)), device)
            keeper = BestEpoch(network, feed, validation, settings, predict_batch, reporter, advance, checkpoint, state)
            advance(epochs_done * feed.num_images)
            trainee.fit(
                feed,
                epochs=settings.epochs,
                initial_epoch=epochs_done,
                class_weight=class_weights(settings.balance, training.labels),
                callbacks=[*averaging(settings), keeper],
                shuffle=False,  # the feed does, by seed and epoch alone
                verbose=0,
            )
    finally:
        keras.config.set_dtype_policy(before)
    return Fitted(keeper.weights, keeper.history, keeper.best.epoch)


def _restore(trainee: keras.Model, state: State) -> None:
    trainee.optimizer.build(trainee.trainable_variables)
    for variable, value in zip(state_variables(trainee), state.variables, strict=True):
        variable.assign(value)


def class_weights(balance: Balance, labels: NDArray[np.int32]) -> dict[int, float] | None:
    """By weights: every class weighs the same in the loss, and an image 1 on average. Else None: an image weighs 1."""
    if balance != "weights":
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
