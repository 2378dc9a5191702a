"""What the fit must know of the machine, in words that any Keras backend could fill in."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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
