"""One training in a process of its own, ours or as the article's script has it: its times and accuracies, as JSON.

    python -m bench.training_entrants NAME TRAIN_FOLDER --epochs 3 --seed 100

All of them train network 26 at 180×180 on the same files, validate on the same ones, and augment by the same ranges.
"""

import argparse
import functools
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from training.augment import RANGES
from training.progress import Advance, Reporter
from training.settings import Precision, TrainSettings
from training.trained import EpochRecord

SIDE: Final = 180
BATCH_SIZE: Final = 30
VALIDATION_SPLIT: Final = 0.25
OURS: Final = "cnnsvc"
OURS_FLOAT32: Final = "cnnsvc, float32"
SCRIPT: Final = "the script"
SCRIPT_CACHED: Final = "the script, cached"


class Watch:
    """Seconds by the clock and of all cores, child processes among them, since the process began to work."""

    def __init__(self) -> None:
        self.marks = [self._now()]

    def mark(self) -> None:
        self.marks.append(self._now())

    def _now(self) -> tuple[float, float]:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return time.monotonic(), sum(usage.ru_utime + usage.ru_stime for usage in usages)


class _Watching(Reporter):
    """Marks the moment when the fit begins and the end of each epoch, its validation and its line included."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    @contextmanager
    def bar(self, title: str, total: int, *, speaks: bool = True) -> Iterator[Advance]:
        if title == "training":
            self._watch.mark()
        with super().bar(title, total, speaks=speaks) as advance:
            yield advance

    def epoch(self, record: EpochRecord, num_epochs: int) -> None:
        super().epoch(record, num_epochs)
        self._watch.mark()


def train_ours(folder: Path, epochs: int, seed: int, watch: Watch, precision: Precision = "auto") -> dict[str, Any]:
    """All that `cnnsvc train` does but the export: inspection, decoding and checkpoints are counted."""
    from training.run import learn

    # By the split of Keras, so that the images are the script's.
    settings = TrainSettings(seed=seed, split="keras", precision=precision)
    assert (settings.batch_size, settings.validation_split) == (BATCH_SIZE, VALIDATION_SPLIT)
    with tempfile.TemporaryDirectory() as checkpoints:
        settings = replace(settings, epochs=epochs)
        trained = learn(folder, "speed", settings, _Watching(watch), Path(checkpoints))
    return {
        "num_training": trained.facts["data"]["num_training"],
        "num_parameters": trained.network.count_params(),
        "precision": trained.facts["precision"],
        "accuracies": [record.validation_accuracy for record in trained.history],
    }


def train_by_script(folder: Path, epochs: int, seed: int, watch: Watch, *, is_cached: bool = False) -> dict[str, Any]:
    """As tutorials have it: files decoded by Keras' own function, each epoch anew unless cached."""
    import keras
    import tensorflow as tf

    class Marking(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            watch.mark()

    keras.utils.set_random_seed(seed)
    training, validation = (
        keras.utils.image_dataset_from_directory(
            folder,
            validation_split=VALIDATION_SPLIT,
            subset=subset,
            seed=seed,
            image_size=(SIDE, SIDE),
            batch_size=BATCH_SIZE,
            verbose=False,
        )
        for subset in ("training", "validation")
    )
    num_training, class_names = len(training.file_paths), training.class_names
    if is_cached:
        training, validation = (data.cache().prefetch(tf.data.AUTOTUNE) for data in (training, validation))
    model = _network_of_the_script(len(class_names))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    watch.mark()
    history = model.fit(training, validation_data=validation, epochs=epochs, callbacks=[Marking()], verbose=0)
    return {
        "num_training": num_training,
        "num_parameters": model.count_params(),
        "precision": keras.config.dtype_policy().name,
        "accuracies": history.history["val_accuracy"],
    }


def _network_of_the_script(num_classes: int) -> Any:
    """C: 16n 16nv d¼ 32n 32nv d¼ D: 16R, of Keras' own layers as they come."""
    import keras
    from keras import layers

    ranges = RANGES["light"]

    def convolution(filters: int, padding: str) -> list[Any]:
        return [layers.Conv2D(filters, 3, padding=padding), layers.BatchNormalization(), layers.ReLU()]

    def group(filters: int) -> list[Any]:
        parts = [*convolution(filters, "same"), *convolution(filters, "valid")]
        return [*parts, layers.MaxPooling2D(), layers.Dropout(0.25)]

    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(ranges.turns),
            layers.RandomZoom(ranges.zoom),
            layers.Rescaling(1 / 255),
            *group(16),
            *group(32),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(num_classes, activation="softmax"),
        ]
    )


ENTRANTS: Final[dict[str, Callable[[Path, int, int, Watch], dict[str, Any]]]] = {
    OURS: train_ours,
    OURS_FLOAT32: functools.partial(train_ours, precision="float32"),
    SCRIPT: train_by_script,
    SCRIPT_CACHED: functools.partial(train_by_script, is_cached=True),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=ENTRANTS)
    parser.add_argument("train", type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    arguments = parser.parse_args()
    watch = Watch()
    found = ENTRANTS[arguments.name](arguments.train, arguments.epochs, arguments.seed, watch)
    print(json.dumps({**found, "marks": watch.marks}))


if __name__ == "__main__":
    main()
