"""Whether a network fits into this machine's memory: a clear no before the decoding instead of a crash after it.

What is counted is the least that training takes; what libraries need besides is not. Linux grants memory that it does
not have and ends the process that uses it, so asking for it proves nothing.
"""

from pathlib import Path
from typing import Final

from cnnsvc.engines.threads import CGROUP_ROOT
from cnnsvc.errors import TrainingError
from training.shapes import NetworkShape

MEMORY_ADVICE: Final = "try a smaller --batch-size or --image-size, or a smaller network"

_MEMINFO: Final = Path("/proc/meminfo")
_NUM_COPIES: Final = 4
"""Of each parameter: itself, its gradient and Adam's two moments; and one an engine while the export is proven."""
_FLOAT_BYTES: Final = 4
_MIB: Final = 2**20


def check_memory(
    shape: NetworkShape, batch_size: int, available_bytes: int | None, *, is_mixed_precision: bool = False
) -> None:
    """Raises TrainingError where not even parameters and one batch fit; None, not known, lets everything pass."""
    parameter_bytes = shape.num_parameters * _NUM_COPIES * _FLOAT_BYTES
    batch_bytes = batch_size * shape.num_values * (_FLOAT_BYTES // 2 if is_mixed_precision else _FLOAT_BYTES)
    if available_bytes is not None and parameter_bytes + batch_bytes > available_bytes:
        raise TrainingError(
            f"no memory for this network: {shape.num_parameters} parameters take {parameter_bytes // _MIB} MiB while"
            f" they are trained and a batch of {batch_size} {batch_bytes // _MIB} MiB; {available_bytes // _MIB} MiB"
            f" are available; {MEMORY_ADVICE}"
        )


def available_memory(meminfo: Path = _MEMINFO, cgroup_root: Path = CGROUP_ROOT) -> int | None:
    """Bytes of main memory to be had without swapping, in the container's limit; None where it cannot be told."""
    limits = [_meminfo_bytes(meminfo), _cgroup_bytes(cgroup_root)]
    return min((limit for limit in limits if limit is not None), default=None)


def _meminfo_bytes(meminfo: Path) -> int | None:
    """Linux: `MemAvailable: 1234 kB`."""
    try:
        words = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return int(words["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _cgroup_bytes(root: Path) -> int | None:
    """The whole limit, since what it counts as used holds what can be dropped; `max` is none."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return int((root / name).read_text())
        except (OSError, ValueError):
            continue
    return None
