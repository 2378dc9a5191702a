"""training/originals.py: files read again after the training."""

import hashlib
from pathlib import Path

import numpy as np

from training.originals import read_again
from training.trained import Labelled


def test_a_file_counts_only_as_it_was(tmp_path: Path) -> None:
    """What is gone, changed or no file any more gives nothing; what is unchanged gives its content."""
    files = [tmp_path / name for name in ("same", "changed", "gone", "folder")]
    for file in files:
        file.write_bytes(file.name.encode())
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    labelled = Labelled(files, np.zeros((4, 1, 1, 3), np.uint8), np.zeros(4, np.int32), hashes)
    files[1].write_bytes(b"another")
    files[2].unlink()
    files[3].unlink()
    files[3].mkdir()
    assert [read_again(labelled, row) for row in range(4)] == [b"same", None, None, None]
