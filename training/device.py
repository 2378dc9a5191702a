"""What the fit must know of the machine, in words that any Keras backend could fill in."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from training.settings import Precision


@dataclass(frozen=True)
class Device:
    description: str
    """For people, such as: CPU, 2 cores."""
    num_devices: int = 1
    dtype_policy: str = "float32"
    jit_compile: bool | str = False
    """Passed to Keras' compile: False, or auto where a just-in-time compiler helps."""
    memory_bytes: int | None = None
    """Available for training, where that can be told."""
    scope: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    """Entered while the network is made and compiled; several devices share its weights there."""
    backend: str = "tensorflow"
    """Of Keras."""


def gpu_policy(precision: Precision, compute_capabilities: list[tuple[int, int]]) -> str:
    """Keras' name for the precision; auto: bfloat16 from Ampere (8.0) on, float16 on Volta and Turing, else float32."""
    if precision != "auto":
        return precision
    weakest = min(compute_capabilities)
    if weakest >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if weakest >= (7, 0) else "float32"
