"""Validates after each epoch, keeps the best weights, ends a run that gets no better."""

import time
from statistics import fmean
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnnsvc.errors import TrainingError
from training.checkpoint import Checkpoint, State
from training.evaluate import accuracy, cross_entropy, predict_scores
from training.feed import Feed
from training.progress import Advance, Reporter
from training.settings import LEAST_ADVISED_RATE, TrainSettings
from training.trained import EpochRecord, Labelled


def best_of(history: list[EpochRecord], num_smoothed: int) -> int:
    """Index of the epoch with the best validation accuracy on a curve of means over the last `num_smoothed` epochs.

    Of equals the one with the lower mean validation loss, then the earlier one. A single epoch's accuracy jumps from
    one to the next; the best of twenty jumps is luck that no other image shares.
    """
    curve = smoothed_accuracies(history, num_smoothed)
    losses = _running_means([record.validation_loss for record in history], num_smoothed)
    return max(range(len(history)), key=lambda index: (curve[index], -losses[index], -index))


def smoothed_accuracies(history: list[EpochRecord], num_smoothed: int) -> list[float]:
    """One an epoch; the first ones are means over as many as there are."""
    return _running_means([record.validation_accuracy for record in history], num_smoothed)


def _running_means(values: list[float], width: int) -> list[float]:
    return [fmean(values[max(0, end - width) : end]) for end in range(1, len(values) + 1)]


def state_variables(trainee: keras.Model) -> list[Any]:
    """Weights, averages, random generators, the optimiser's moments and steps: all that training changes."""
    return [*trainee.variables, *trainee.optimizer.variables]


class BestEpoch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
    """Validates after each epoch, reports it, keeps the best weights and stops when patience ends.

    Not Keras' own validation: under several devices that would count images twice or divide by empty parts.
    """

    def __init__(
        self,
        network: keras.Model,
        feed: Feed,
        validation: Labelled,
        settings: TrainSettings,
        predict_batch: int,
        reporter: Reporter,
        advance: Advance,
        checkpoint: Checkpoint | None = None,
        state: State | None = None,
    ) -> None:
        """`state` is what an earlier part of the run came to."""
        super().__init__()
        self.history: list[EpochRecord] = list(state.history) if state else []
        self.weights: list[NDArray[Any]] = state.best_weights if state else []
        self._best = best_of(self.history, settings.smoothing) if state else 0
        self._checkpoint = checkpoint
        self._network = network
        self._feed = feed
        self._validation = validation
        self._settings = settings
        self._predict_batch = predict_batch
        self._reporter = reporter
        self._advance = advance

    @property
    def best(self) -> EpochRecord:
        return self.history[self._best]

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        # Not at the end of the one before, where the weights may be averaged ones that only the judging sees.
        if self._checkpoint and self.history:
            variables = [variable.numpy() for variable in state_variables(self.model)]
            self._checkpoint.save(State(self.history, variables, self.weights))
        self._feed.start_epoch(epoch + 1)
        self._unchecked: tuple[int, Any] | None = None
        self._started_at = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        # Of the step before: to wait for this one's loss would leave a GPU idle until the next one is handed to it.
        self._check_loss()
        self._unchecked = batch, logs["loss"]
        self._advance(min(self._settings.batch_size, self._feed.num_images - batch * self._settings.batch_size))

    def _check_loss(self) -> None:
        """The loss is the epoch's mean so far, so it stays what it is once it is no number."""
        if self._unchecked is None or np.isfinite(float(self._unchecked[1])):
            return
        batch, found = self._unchecked
        rate = self._settings.learning_rate
        slower = f"a --learning-rate below {rate:g}, " if rate > LEAST_ADVISED_RATE else ""
        raise TrainingError(
            f"the loss became {float(found)} in epoch {len(self.history) + 1}, step {batch + 1};"
            f" try {slower}--precision float32 or another network"
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self._check_loss()
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
        self._best = best_of(self.history, self._settings.smoothing)
        if self._best == len(self.history) - 1:
            self.weights = self._network.get_weights()
        # Patience looks at the accuracy alone: a dying network's loss may go on falling towards the class shares.
        curve = smoothed_accuracies(self.history, self._settings.smoothing)
        num_epochs_since = len(curve) - 1 - int(np.argmax(curve))
        if self._settings.patience and num_epochs_since >= self._settings.patience:
            self.model.stop_training = True
