"""training/facts.py: what a run puts on record."""

import io
import os
from pathlib import Path

import msgspec
from rich.console import Console

from cnnsvc.manifest import ImageShape
from tests.images import write_image_folder
from training.cache import fill_cache
from training.dataset import scan, split_like_keras
from training.device import Device
from training.facts import run_facts
from training.progress import Reporter
from training.settings import TrainSettings


def test_the_record_is_json_and_travels(tmp_path: Path) -> None:
    """Settings, packages, data and unreadable files are JSON, and no path of this machine is in it."""
    folder = tmp_path / "photos"
    write_image_folder(folder, 2, 4, 16)
    (folder / "red" / os.fsdecode(b"bad\xff.png")).write_bytes(b"no image")
    (folder / "red" / "x.webp").write_bytes(b"")
    settings = TrainSettings(seed=5)
    listing = scan(folder)
    split = split_like_keras(listing, 0.25, 5)
    cache = fill_cache(listing, split, ImageShape(8, 8, 3), limit_mib=1, reporter=Reporter(Console(file=io.StringIO())))
    text = msgspec.json.encode(run_facts(settings, Device("CPU, 1 cores"), listing, cache)).decode()
    facts = msgspec.json.decode(text)
    assert str(tmp_path) not in text
    assert facts["settings"]["epochs"] == settings.epochs
    assert facts["seed"] == 5
    assert facts["packages"]["numpy"]
    assert facts["unreadable"][0]["file"] == "red/bad\ufffd.png"
    assert facts["data"]["folder"] == "photos"
    assert facts["data"]["num_files"] == 9
    assert facts["data"]["num_training"] + facts["data"]["num_validation"] == 8
    assert facts["data"]["num_ignored"] == {".webp": 1}
    assert {name: entry["num_files"] for name, entry in facts["data"]["classes"].items()} == {"blue": 4, "red": 5}
    assert len(facts["data"]["classes"]["red"]["sha256"]) == 64
