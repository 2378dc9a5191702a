"""Which of Keras' backends trains, by Keras' own variable; the exports are TensorFlow's whatever it says."""

import contextlib
import importlib.util
import os
from typing import Final, Protocol

from cnnsvc.errors import UnsupportedError
from training.device import Device
from training.quiet import environment_as_given
from training.settings import TrainSettings

VARIABLE: Final = "KERAS_BACKEND"
TENSORFLOW: Final = "tensorflow"
JAX: Final = "jax"
_EXTRAS: Final = {TENSORFLOW: "cnnsvc[train]", JAX: "cnnsvc[jax]"}


class Backend(Protocol):
    """What a backend has of its own; training/<name>_backend.py."""

    def choose_device(self, settings: TrainSettings) -> Device:
        """Finds and prepares where to train. Raises UnsupportedError for a GPU that is not there."""

    def memory_errors_told(self) -> contextlib.AbstractContextManager[None]:
        """Turns the backend's error, where memory runs out, into a TrainingError that says what to do."""


def chosen_backend() -> str:
    """TensorFlow unless the variable says JAX. Raises UnsupportedError for another one, and for one not installed."""
    name = os.environ.get(VARIABLE) or TENSORFLOW  # Keras' setting, not ours; we read it nowhere else
    if name not in _EXTRAS:
        raise UnsupportedError(f"{VARIABLE} is {name!r}; allowed are {', '.join(_EXTRAS)}")
    # A file in the user's home may name another to Keras.
    os.environ[VARIABLE] = name
    for needed in (TENSORFLOW, name):
        if importlib.util.find_spec(needed) is None:
            raise UnsupportedError(_absence(needed, name))
    return name


def load_backend(name: str) -> Backend:
    """Loads Keras' backend of that name, which takes seconds."""
    if name == JAX:
        from training import jax_backend

        return jax_backend
    from training import tensorflow_backend

    return tensorflow_backend


def with_tensorflow() -> dict[str, str]:
    """The environment of a process whose Keras runs on TensorFlow."""
    return {**environment_as_given(), VARIABLE: TENSORFLOW}


def _absence(needed: str, name: str) -> str:
    extra = _EXTRAS[name]
    if needed == TENSORFLOW:
        return f"training needs TensorFlow, which is not installed; install the extra {extra}"
    return f"{VARIABLE} is {name!r}, and JAX is not installed; install the extra {extra}, or train without the variable"
