"""What lies in the folder of models: names, versions, and of each a fingerprint that changes with its files."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cnnsvc import bundle


@dataclass(frozen=True)
class Listing:
    """One look at the folder."""

    models: dict[str, dict[int, str]]
    """Fingerprints by model and version."""
    troubles: dict[str, str]
    """Why the versions of a model cannot be listed."""


def list_models(models_dir: Path) -> Listing:
    """Raises InvalidError or OSError where the folder itself is not there or cannot be read."""
    models: dict[str, dict[int, str]] = {}
    troubles: dict[str, str] = {}
    for name in bundle.model_names(models_dir):
        try:
            models[name] = {
                version: fingerprint(models_dir / name / str(version)) for version in bundle.versions(models_dir / name)
            }
        except OSError as error:
            troubles[name] = str(error)
    return Listing(models, troubles)


def fingerprint(folder: Path) -> str:
    """Of the names, sizes and times of everything in a version folder; of what cannot be read, of that fact."""
    found = hashlib.sha256()
    for name in sorted(_names(folder)):
        try:
            facts = (folder / name).stat()
            found.update(os.fsencode(f"{name} {facts.st_size} {facts.st_mtime_ns}\n"))
        except OSError as error:
            found.update(os.fsencode(f"{name} {error.errno}\n"))
    return found.hexdigest()


def _names(folder: Path) -> list[str]:
    """Of all files, relative to the folder, and the folder's own: its time and rights count where it is unreadable."""
    return [
        ".",
        *(str((Path(base) / name).relative_to(folder)) for base, _, names in os.walk(folder) for name in names),
    ]
