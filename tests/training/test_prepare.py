"""training/prepare.py: what a person is told of settings and data before the training."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cnnsvc.manifest import ImageShape
from tests.training.scenes import encoded, scene, write_scenes
from training.dataset import scan
from training.prepare import prepare
from training.progress import Reporter
from training.settings import TrainSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight cats and sixteen dogs."""
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, 8)
    for index in range(8):
        (folder / f"dog/{index + 50}.jpg").write_bytes(encoded(scene(index + 50)))
    return folder


def said(folder: Path, **changes: Any) -> str:
    out = io.StringIO()
    prepare(scan(folder), ImageShape(16, 16, 3), TrainSettings(**changes), Reporter(Console(file=out, width=1000)))
    return out.getvalue()


def test_copies_tell_how_long_an_epoch_becomes(folder: Path) -> None:
    """The images of an epoch are told where there are copies, and nothing else is."""
    assert "--balance copies: 24 images an epoch instead of 18\n" in said(folder, balance="copies")
    assert "an epoch" not in said(folder, balance="weights")
    assert "--augment" not in said(folder, balance="copies")


@pytest.mark.parametrize("changes", [{"augment": "none"}, {"augment_strength": 0.0}])
def test_mere_repetition_is_a_warning(folder: Path, changes: Any) -> None:
    """Copies that are not augmented are told to be the very same images."""
    assert "warning: --balance copies without augmentation" in said(folder, balance="copies", **changes)


def test_a_strength_of_nothing_is_a_warning(folder: Path) -> None:
    """Strength without augmentation has no effect, which is told."""
    complaint = "warning: --augment-strength 0.5 has no effect with --augment none"
    assert complaint in said(folder, augment="none", augment_strength=0.5)
    assert complaint not in said(folder, augment="full", augment_strength=0.5)
