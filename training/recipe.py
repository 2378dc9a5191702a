"""The parts of a recipe that Keras is handed: optimiser, learning rates, loss, averages of weights."""

from typing import Any

import keras

from training.settings import TrainSettings


def optimizer(settings: TrainSettings, *, num_steps: int) -> Any:
    """Adam, with decoupled decay and a running average of the weights where asked; `num_steps` is of one epoch."""
    return keras.optimizers.Adam(
        learning_rates(settings, num_steps=num_steps),
        weight_decay=settings.weight_decay or None,
        use_ema=settings.averaging > 0,
        ema_momentum=settings.averaging or 0.99,  # Keras wants a number even where it is not used
    )


def averaging(settings: TrainSettings) -> list[Any]:
    """Callbacks, to stand first, by which an epoch ends on the averaged weights, and the next goes on from the others.

    Source: Polyak and Juditsky 1992; the average runs, as in Keras' SwapEMAWeights.
    """
    return [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if settings.averaging else []


def loss(settings: TrainSettings) -> Any:
    """Cross-entropy of int labels (N,) and probabilities (N, K).

    Smoothed, a label says 1 - s of its class and s shared among all. Source: Szegedy et al. 2016.
    """
    if not settings.label_smoothing:
        return "sparse_categorical_crossentropy"

    def smoothed(labels: Any, scores: Any) -> Any:
        targets = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), scores.shape[-1])
        return keras.losses.categorical_crossentropy(targets, scores, label_smoothing=settings.label_smoothing)

    return smoothed


def learning_rates(settings: TrainSettings, *, num_steps: int) -> Any:
    """A Keras schedule that climbs in a line, then falls in a cosine to 0 or stays; `num_steps` is of one epoch."""
    all_steps = settings.epochs * num_steps
    end = 1.0 if settings.schedule == "constant" else 0.0
    warmup_steps = min(round(settings.warmup_epochs * num_steps), all_steps - 1)
    if not warmup_steps:
        return keras.optimizers.schedules.CosineDecay(settings.learning_rate, all_steps, alpha=end)
    return keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / warmup_steps,  # a first step of 0 would be a step for nothing
        all_steps - warmup_steps,
        alpha=end,
        warmup_target=settings.learning_rate,
        warmup_steps=warmup_steps,
    )
