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
from training.facts import run_facts, run_identity
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
    assert facts["backend"] == f"tensorflow {facts['packages']['tensorflow']}"
    assert facts["unreadable"][0]["file"] == "red/bad\ufffd.png"
    assert facts["data"]["folder"] == "photos"
    assert facts["data"]["num_files"] == 9
    assert facts["data"]["num_training"] + facts["data"]["num_validation"] == 8
    assert facts["data"]["num_ignored"] == {".webp": 1}
    assert {name: entry["num_files"] for name, entry in facts["data"]["classes"].items()} == {"blue": 4, "red": 5}
    assert len(facts["data"]["classes"]["red"]["sha256"]) == 64


def test_another_backend_makes_another_run(tmp_path: Path) -> None:
    """What one backend of Keras has trained for some epochs, another one does not go on with."""
    write_image_folder(tmp_path / "photos", 2, 4, 16)
    listing, image = scan(tmp_path / "photos"), ImageShape(8, 8, 3)
    split = split_like_keras(listing, 0.25, 5)
    cache = fill_cache(listing, split, image, limit_mib=1, reporter=Reporter(Console(file=io.StringIO())))
    # Of numpy there is always a version to record.
    devices = Device("CPU, 1 cores"), Device("CPU, 1 cores", backend="numpy")
    one, other = (
        run_identity(run_facts(TrainSettings(), device, listing, cache), "C: 4 D:", image, cache) for device in devices
    )
    assert [name for name in one if one[name] != other[name]] == ["the backend"]
