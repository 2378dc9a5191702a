"""training/memory.py: what does not fit is refused, by figures that the machine gives."""

from pathlib import Path

import pytest

from cnnsvc.errors import TrainingError
from cnnsvc.manifest import ImageShape
from training.memory import available_memory, check_memory
from training.notation import parse
from training.shapes import measure

SHAPE = measure(parse("C: 8 D: 1000"), ImageShape(64, 64, 3), 2)


def test_parameters_and_batch_must_fit() -> None:
    """Four copies of the parameters and the outputs of a batch count; one byte less than they take is refused."""
    num_values = 64 * 64 * 8 + 32 * 32 * 8 + 1000 + 2
    needed = SHAPE.num_parameters * 16 + 5 * num_values * 4
    check_memory(SHAPE, 5, needed)
    with pytest.raises(TrainingError, match=f"{SHAPE.num_parameters} parameters take 125 MiB .* smaller --batch-size"):
        check_memory(SHAPE, 5, needed - 1)
    check_memory(SHAPE, 5, needed - 1, is_mixed_precision=True)
    check_memory(SHAPE, 5, None)


@pytest.mark.parametrize(
    ("meminfo", "cgroup", "found"),
    [
        ("MemTotal: 9 kB\nMemAvailable:    5 kB\n", None, 5120),
        ("MemAvailable: 5 kB", "max\n", 5120),
        ("MemAvailable: 5 kB", "4096\n", 4096),
        ("nothing", "4096\n", 4096),
        ("nothing", None, None),
    ],
)
def test_what_is_available(tmp_path: Path, meminfo: str, cgroup: str | None, found: int | None) -> None:
    """The machine's free memory or the container's limit, whichever is less; unreadable files say nothing."""
    (tmp_path / "meminfo").write_text(meminfo)
    if cgroup:
        (tmp_path / "memory.max").write_text(cgroup)
    assert available_memory(tmp_path / "meminfo", tmp_path) == found
