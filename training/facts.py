"""What a run puts on record about itself: settings, machine, packages, data. JSON-ready, for manifest and report."""

import dataclasses
import hashlib
import importlib.metadata
import platform
from pathlib import Path
from typing import Any, Final

import numpy as np

from cnnsvc.manifest import ImageShape
from training.cache import Cache
from training.dataset import Listing
from training.device import Device
from training.inspection.findings import shown
from training.settings import TrainSettings

PACKAGES: Final = (
    "cnnsvc",
    "cykooz-resizer",
    "keras",
    "numpy",
    "onnx",
    "pillow",
    "simplejpeg",
    "tensorflow",
    "tf2onnx",
)
"""What decides about pixels, weights and artifacts."""


def run_facts(settings: TrainSettings, device: Device, listing: Listing, cache: Cache) -> dict[str, Any]:
    """Names of files are relative to the folder, and the folder is named without its path: a bundle travels."""
    return {
        "settings": dataclasses.asdict(settings),
        "seed": settings.seed,
        "backend": f"{device.backend} {importlib.metadata.version(device.backend)}",
        "device": device.description,
        "precision": device.dtype_policy,
        "python": platform.python_version(),
        "packages": _versions(),
        "data": data_facts(listing, cache),
        "unreadable": [
            {"file": shown(unreadable.file.relative_to(listing.folder)), "reason": unreadable.reason}
            for unreadable in cache.unreadable
        ],
    }


_NO_PART: Final = (
    *("cache_limit_mib", "calibrate", "accept_share", "export_dead", "resume"),
    *("split", "validation_split", "drop_conflicts", "model", "arch", "image_size", "color"),
)
"""Settings that decide about nothing that is learned, or only through the images and the notation."""


def run_identity(facts: dict[str, Any], notation: str, image: ImageShape, cache: Cache) -> dict[str, Any]:
    """Everything that decides about the weights of a run, by the words that a person knows it by. JSON-ready."""
    images = hashlib.sha256()
    for subset in (cache.training, cache.validation):
        for sha256, label in zip(subset.sha256s, subset.labels.tolist(), strict=True):
            images.update(f"{sha256} {label}\n".encode())
    return {
        "the network": notation,
        "the image": f"{image.height}x{image.width}x{image.channels}",
        "the backend": facts["backend"],
        "the device": facts["device"],
        "the precision": facts["precision"],
        **{"--" + name.replace("_", "-"): value for name, value in facts["settings"].items() if name not in _NO_PART},
        **{f"the version of {name}": facts["packages"][name] for name in ("cnnsvc", "keras", "numpy")},
        "the hash of the images": images.hexdigest(),
    }


def data_facts(listing: Listing, cache: Cache) -> dict[str, Any]:
    """How many files there are and a fingerprint of each class."""
    counts = np.bincount(listing.labels, minlength=len(listing.class_names)).tolist()
    return {
        "folder": shown(Path(listing.folder.resolve().name)),
        "num_files": len(listing.files),
        "num_training": len(cache.training.files),
        "num_validation": len(cache.validation.files),
        "num_ignored": listing.num_ignored,
        "classes": {
            name: {"num_files": count, "sha256": cache.fingerprint[name]}
            for name, count in zip(listing.class_names, counts, strict=True)
        },
    }


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed as a package"
    return versions
