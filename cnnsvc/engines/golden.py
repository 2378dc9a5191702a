"""Golden answers: a few validation images with the scores that each artifact gave when it was trained.

On disk: golden/answers.json and the images as the files they were, so that decoding is proven too.
"""

from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from cnnsvc import pixels
from cnnsvc.bundle import Bundle
from cnnsvc.engines.base import Engine, Images, Scores
from cnnsvc.errors import BundleError, Fault

GOLDEN_DIR: Final = "golden"
_ANSWERS_NAME: Final = "answers.json"

TOLERANCES: Final = {"float32": 1e-3}
"""Largest accepted difference of a probability, by precision."""
DEFAULT_TOLERANCE: Final = 0.05


class Golden(msgspec.Struct, frozen=True):
    images: list[str]
    """File names beside the answers."""
    scores: dict[str, list[list[float]]]
    """By artifact: one row of scores an image."""


def write_golden(folder: Path, images: list[tuple[str, bytes]], scores: dict[str, Scores]) -> None:
    """Writes (file name, encoded image) pairs and the float32 (N, K) scores of each artifact into the bundle folder."""
    golden_dir = folder / GOLDEN_DIR
    golden_dir.mkdir()
    for name, image_bytes in images:
        (golden_dir / name).write_bytes(image_bytes)
    golden = Golden([name for name, _ in images], {key: rows.tolist() for key, rows in scores.items()})
    (golden_dir / _ANSWERS_NAME).write_bytes(msgspec.json.encode(golden))


def read_golden(folder: Path) -> Golden:
    """Raises BundleError where the answers are absent, malformed or none."""
    path = folder / GOLDEN_DIR / _ANSWERS_NAME
    try:
        golden = msgspec.json.decode(path.read_bytes(), type=Golden)
    except (OSError, msgspec.MsgspecError) as error:
        raise BundleError(f"{path} cannot be read: {error}", Fault.GOLDEN) from None
    if not golden.images:
        raise BundleError(f"{path} names no image", Fault.GOLDEN)
    return golden


def check_golden(bundle: Bundle, engine: Engine, *, batch_size: int = 1) -> None:
    """Runs the golden images through pixels and engine. Raises BundleError unless every answer comes out right."""
    golden, manifest, artifact = read_golden(bundle.path), bundle.manifest, engine.artifact
    used = {f"{GOLDEN_DIR}/{name}" for name in (_ANSWERS_NAME, *golden.images)}
    if unproven := used - set(manifest.files):
        raise BundleError(f"the manifest of {bundle.path} has no hash of {', '.join(sorted(unproven))}")
    expected = _golden_scores(bundle, golden, artifact)
    images_nhwc = golden_images(bundle)
    starts = range(0, len(images_nhwc), batch_size)
    found = np.concatenate([engine.run(images_nhwc[start : start + batch_size]) for start in starts])
    tolerance = tolerance_of(bundle, artifact)
    if wrong := disagreements(expected, found, tolerance):
        first = wrong[0]
        worst = int(np.abs(found[first] - expected[first]).argmax())
        raise BundleError(
            f"{engine.name} answers {len(wrong)} of {len(golden.images)} golden images wrong with {artifact};"
            f" {golden.images[first]}: {found[first, worst]:.4g} for {manifest.class_names[worst]}, expected"
            f" {expected[first, worst]:.4g} within {tolerance}",
            Fault.GOLDEN,
        )


def tolerance_of(bundle: Bundle, artifact: str) -> float:
    """Largest accepted difference of a probability."""
    return TOLERANCES.get(bundle.manifest.artifacts[artifact].precision, DEFAULT_TOLERANCE)


def golden_images(bundle: Bundle) -> Images:
    """The golden images as the bundle's network takes them, uint8 (N, H, W, C)."""
    return np.stack([_golden_image(bundle, name) for name in read_golden(bundle.path).images])


def _golden_scores(bundle: Bundle, golden: Golden, artifact: str) -> Scores:
    """Float32 (N, K). Raises BundleError unless there is one row an image and one column a class."""
    rows, num_classes = golden.scores.get(artifact, []), len(bundle.manifest.class_names)
    if len(rows) != len(golden.images) or any(len(row) != num_classes for row in rows):
        raise BundleError(
            f"{bundle.path} has {len(rows)} golden answers for {artifact}; expected one of {num_classes} scores for"
            f" each of {len(golden.images)} images",
            Fault.GOLDEN,
        )
    return np.asarray(rows, np.float32)


def _golden_image(bundle: Bundle, name: str) -> pixels.Pixels:
    shape = bundle.manifest.image
    image_bytes = (bundle.path / GOLDEN_DIR / name).read_bytes()
    return pixels.decoder(bundle.manifest.pixels)(image_bytes, shape.height, shape.width, shape.channels)


def disagreements(expected: Scores, found: Scores, tolerance: float) -> list[int]:
    """Rows of float32 (N, K) that differ by more than the tolerance, or in the best class unless nearly tied."""
    if expected.shape != found.shape or not np.isfinite(found).all():
        return list(range(len(expected)))
    top_two = np.sort(expected, axis=1)[:, -2:]
    has_margin = top_two[:, 1] - top_two[:, 0] > tolerance
    differs = np.abs(expected - found).max(axis=1) > tolerance
    return np.flatnonzero(differs | (has_margin & (expected.argmax(1) != found.argmax(1)))).tolist()
