"""All that is JAX's alone: its devices, its switch for determinism, its way to say that memory ran out."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Final

import jax

from cnnsvc.engines.threads import available_cpus
from cnnsvc.errors import TrainingError, UnsupportedError
from training.device import Device, gpu_policy
from training.memory import MEMORY_ADVICE, available_memory
from training.settings import TrainSettings

_NAME: Final = "jax"
_FLAGS_VARIABLE: Final = "XLA_FLAGS"
_DETERMINISTIC: Final = "--xla_gpu_exclude_nondeterministic_ops=true"


def choose_device(settings: TrainSettings) -> Device:
    """Finds and prepares where to train: one device. Raises UnsupportedError for a GPU that is not there."""
    if settings.deterministic:
        _be_deterministic()
    gpus = _gpus(settings)
    if not gpus:
        policy: str = "float32" if settings.precision == "auto" else settings.precision
        return Device(f"CPU, {available_cpus()} cores", 1, policy, "auto", available_memory(), backend=_NAME)
    first = gpus[0]
    # Several would need Keras' distribution of the arrays; Keras takes the first one where nothing is said.
    others = f", the first of {len(gpus)}: several are used under TensorFlow only" if len(gpus) > 1 else ""
    policy = gpu_policy(settings.precision, [_capability(first)])
    return Device(f"{first.device_kind}{others}", 1, policy, "auto", backend=_NAME)


@contextlib.contextmanager
def memory_errors_told() -> Iterator[None]:
    """Turns XLA's error, which lists its buffers, into a TrainingError that says what to do."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        first_line = str(error).partition("\n")[0]
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in first_line:
            raise
        raise TrainingError(f"there is not enough memory ({first_line}); {MEMORY_ADVICE}") from None


def exact_products() -> contextlib.AbstractContextManager[Any]:
    """Products of float32 in full: GPUs round their factors otherwise."""
    exact: contextlib.AbstractContextManager[Any] = jax.default_matmul_precision("float32")
    return exact


def _be_deterministic() -> None:
    """Of GPUs; for a CPU XLA has no such flag. It is read when JAX first looks for devices."""
    flags = os.environ.get(_FLAGS_VARIABLE, "")  # XLA's setting, not ours; it has no other
    if _DETERMINISTIC not in flags:
        os.environ[_FLAGS_VARIABLE] = f"{flags} {_DETERMINISTIC}".strip()


def _gpus(settings: TrainSettings) -> list[Any]:
    if settings.device == "cpu":
        jax.config.update("jax_platforms", "cpu")
        return []
    devices = jax.devices()  # of the best platform there is
    if (platform := devices[0].platform) not in ("cpu", "gpu"):
        raise UnsupportedError(f"JAX finds a {platform} here; supported are GPUs, and the CPU by --device cpu")
    gpus = devices if platform == "gpu" else []
    if settings.device == "gpu" and not gpus:
        raise UnsupportedError(
            "--device gpu: JAX finds no GPU here; install jax[cuda13] and NVIDIA's driver, or train with --device auto"
            " or cpu"
        )
    return gpus


def _capability(gpu: Any) -> tuple[int, int]:
    """Of an NVIDIA GPU, such as 9.0; (0, 0) of one that has none."""
    major, _, minor = str(getattr(gpu, "compute_capability", "0.0")).partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)
