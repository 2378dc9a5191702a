"""All that is TensorFlow's alone: its devices, its strategy for several of them, its switch for determinism."""

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from cnnsvc.engines.openvino import has_bfloat16
from cnnsvc.engines.threads import available_cpus
from cnnsvc.errors import TrainingError, UnsupportedError
from training.device import Device, gpu_policy
from training.memory import MEMORY_ADVICE, available_memory
from training.settings import DeviceChoice, TrainSettings


def choose_device(settings: TrainSettings) -> Device:
    """Finds and prepares where to train. Raises UnsupportedError for a GPU that is not there."""
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    gpus = _gpus(settings.device)
    if not gpus:
        policy: str = cpu_policy() if settings.precision == "auto" else settings.precision
        # XLA made training on a CPU three times slower.
        description = f"CPU, {available_cpus()} cores"
        return Device(description, dtype_policy=policy, jit_compile=False, memory_bytes=available_memory())
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    names = ", ".join(str(detail.get("device_name", "GPU")) for detail in details)
    policy = gpu_policy(settings.precision, [detail.get("compute_capability", (0, 0)) for detail in details])
    if len(gpus) > 1:
        return several_devices([f"GPU:{index}" for index in range(len(gpus))], names, policy)
    return Device(names, dtype_policy=policy, jit_compile="auto")


def limit_threads(num_cpus: int) -> None:
    """TensorFlow computes on so many CPUs at a time; to be called before anything else of it."""
    tf.config.threading.set_intra_op_parallelism_threads(num_cpus)
    tf.config.threading.set_inter_op_parallelism_threads(num_cpus)


def several_devices(devices: list[str], description: str, dtype_policy: str) -> Device:
    """Every device trains on its part of each batch; all hold the same weights."""
    strategy: Any = tf.distribute.MirroredStrategy(devices)
    return Device(f"{len(devices)} devices: {description}", len(devices), dtype_policy, False, scope=strategy.scope)


@contextlib.contextmanager
def memory_errors_told() -> Iterator[None]:
    """Turns TensorFlow's error, a page about its allocator, into a TrainingError that says what to do."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        first_line = str(error).partition("\n")[0]
        raise TrainingError(f"there is not enough memory ({first_line}); {MEMORY_ADVICE}") from None


def cpu_policy() -> str:
    """Keras' name for what is fastest: bfloat16 where the CPU computes in it, 1.8 times as fast for network 26."""
    return "mixed_bfloat16" if has_bfloat16() else "float32"


def _gpus(choice: DeviceChoice) -> list[Any]:
    gpus: list[Any] = tf.config.list_physical_devices("GPU")
    if choice == "cpu":
        if gpus:
            tf.config.set_visible_devices([], "GPU")
        return []
    if choice == "gpu" and not gpus:
        raise UnsupportedError(
            "--device gpu: TensorFlow finds no GPU here; install the extra cnnsvc[gpu] and NVIDIA's driver,"
            " or train with --device auto or cpu"
        )
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return gpus
