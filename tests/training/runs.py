"""A short training on shapes, as several tests need it; also a program, for what must happen in a process of its own.

`python -m tests.training.runs MODE FOLDER`: `deterministic` prints the hash of the weights it trained,
`four_devices` trains under a strategy over four logical CPU devices and prints how well, `averaged_and_broken` trains
with averaged weights and once with a network of no numbers, `jax_errors` meets errors of JAX; all as JSON.
"""

import hashlib
import io
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from cnnsvc.errors import TrainingError, UnsupportedError
from cnnsvc.manifest import ImageShape
from training.cache import Cache, fill_cache
from training.dataset import scan, split_like_keras
from training.device import Device
from training.evaluate import accuracy, predict_scores
from training.fit import Fitted, fit
from training.network import build_network
from training.notation import parse
from training.progress import Reporter
from training.settings import TrainSettings

IMAGE = ImageShape(16, 16, 3)
QUICK = TrainSettings(
    arch="C: 4n d20% D: 8nR",
    epochs=3,
    batch_size=8,
    learning_rate=0.02,
    warmup_epochs=0.5,
    image_size=16,
    augment="none",
    device="cpu",
)


def quiet_reporter() -> Reporter:
    return Reporter(Console(file=io.StringIO()))


def shapes_cache(folder: Path) -> Cache:
    """The images of `tests.images.write_image_folder`, decoded at 16x16."""
    listing = scan(folder)
    split = split_like_keras(listing, QUICK.validation_split, QUICK.seed)
    return fill_cache(listing, split, IMAGE, limit_mib=64, reporter=quiet_reporter())


def new_network(settings: TrainSettings, num_classes: int = 3) -> Any:
    return build_network(parse(settings.arch or ""), IMAGE, num_classes, seed=settings.seed)


def quick_fit(
    cache: Cache, settings: TrainSettings = QUICK, device: Device | None = None, reporter: Reporter | None = None
) -> Fitted:
    return fit(
        lambda: new_network(settings),
        IMAGE,
        cache.training,
        cache.validation,
        settings,
        device or Device("CPU"),
        reporter or quiet_reporter(),
    )


def weights_hash(fitted: Fitted) -> str:
    return hashlib.sha256(b"".join(weight.tobytes() for weight in fitted.weights)).hexdigest()


def _train_deterministically(folder: Path) -> None:
    from training.tensorflow_backend import choose_device

    settings = replace(QUICK, deterministic=True, augment="full", balance="weights", epochs=2)
    fitted = quick_fit(shapes_cache(folder), settings, choose_device(settings))
    _print({"weights": weights_hash(fitted)})


def _train_on_four_devices(folder: Path) -> None:
    """They cannot share batches of 10, and one of them would have none of five validation images."""
    import tensorflow as tf

    from training.tensorflow_backend import several_devices

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)
    device = several_devices([f"CPU:{index}" for index in range(4)], "logical CPUs", "float32")
    cache = shapes_cache(folder)
    few = replace(cache.validation, images_nhwc=cache.validation.images_nhwc[:5], labels=cache.validation.labels[:5])
    out = io.StringIO()
    reporter = Reporter(Console(file=out))
    fitted = quick_fit(replace(cache, validation=few), replace(QUICK, batch_size=10, augment="full"), device, reporter)
    best = fitted.history[fitted.best_epoch - 1]
    _print({"description": device.description, "said": out.getvalue(), **asdict(best)})


def _train_averaged_and_broken(folder: Path) -> None:
    """Under whatever backend Keras has here."""
    import keras

    cache = shapes_cache(folder)
    settings = replace(QUICK, averaging=0.9, epochs=6)
    fitted = quick_fit(cache, settings, Device("CPU", jit_compile="auto"))
    network = new_network(settings)
    network.set_weights(fitted.weights)
    scores = predict_scores(network, cache.validation.images_nhwc, batch_size=8)
    network.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
    try:
        device, reporter = Device("CPU", jit_compile="auto"), quiet_reporter()
        fit(lambda: network, IMAGE, cache.training, cache.validation, QUICK, device, reporter)
        error = ""
    except TrainingError as raised:
        error = str(raised)
    _print(
        {
            "backend": keras.backend.backend(),
            "recorded": fitted.history[fitted.best_epoch - 1].validation_accuracy,
            "accuracy": accuracy(scores, cache.validation.labels),
            "error": error,
        }
    )


def _meet_errors_of_jax(folder: Path) -> None:
    """What comes out of each error, by its class and text."""
    import jax

    from training.jax_backend import choose_device, memory_errors_told

    def outcome_of(error: Exception) -> str:
        try:
            with memory_errors_told():
                raise error
        except Exception as raised:
            return f"{type(raised).__name__}: {raised}"

    try:
        choose_device(TrainSettings(device="gpu"))
        gpu = "there"
    except UnsupportedError as raised:
        gpu = f"{type(raised).__name__}: {raised}"
    memory = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nand much more")
    other = jax.errors.JaxRuntimeError("INTERNAL: something else")
    _print({"memory": outcome_of(memory), "other": outcome_of(other), "gpu": gpu})


def _print(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    modes = {
        "deterministic": _train_deterministically,
        "four_devices": _train_on_four_devices,
        "averaged_and_broken": _train_averaged_and_broken,
        "jax_errors": _meet_errors_of_jax,
    }
    modes[sys.argv[1]](Path(sys.argv[2]))
