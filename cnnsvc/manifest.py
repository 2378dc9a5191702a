"""manifest.json, the contract between training and serving: unknown fields are ignored, unknown formats refused."""

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from cnnsvc.errors import BundleError, Fault

MANIFEST_NAME: Final = "manifest.json"
MANIFEST_FORMAT: Final = 1

Side = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
VersionNumber = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class ImageShape(msgspec.Struct, frozen=True):
    """What the network takes, in pixels."""

    height: Side
    width: Side
    channels: int
    """1 (grey) or 3 (colour)."""


class Artifact(msgspec.Struct, frozen=True):
    """One runnable form of the network and how well it agrees with the trained one over the validation split."""

    precision: str
    """float32 | int8"""
    num_images: int
    accuracy: float
    top1_agreement: float
    """Share of images with the same best class as the trained network."""
    max_difference: float
    """Largest difference of one probability."""
    num_undecodable: int = 0
    """Files that it could not decode, of those that it was tried on: not among the images."""


class Network(msgspec.Struct, frozen=True):
    name: str
    """Name in the catalogue, or custom."""
    notation: str
    """Both lines, as `C: … D: …`."""
    num_parameters: int


class Baseline(msgspec.Struct, frozen=True):
    """The validation split as the trained network sees it: what drift is measured against."""

    class_shares: list[float]
    """Share of each class among the predictions, in the order of the class names."""
    confidence_histogram: list[int]
    """Images by the highest score, in ten equal bins over 0..1."""
    channel_means: list[float]
    """Mean pixel value of each channel, 0..255."""
    channel_mean_histograms: list[list[int]] = []
    """Images by their own mean of a channel, in equal bins over 0..256: one list a channel, none in older bundles."""


class HonestScores(msgspec.Struct, frozen=True):
    """How far the scores can be believed, by cross-validation over the validation split."""

    temperature: float
    """What the logits are divided by; it is in the weights of every artifact already."""
    threshold: Share | None
    """An image whose best score is below it is of none of the classes; null where every image gets an answer."""
    num_images: int
    expected_calibration_error_before: float
    """Mean distance of confidence and accuracy, 0..1, at temperature 1."""
    expected_calibration_error_after: float
    share_answered: float
    """Of the images, with the threshold."""
    accuracy_of_answered: float | None
    """Share of right ones among those; null where there are none."""


class Manifest(msgspec.Struct, frozen=True):
    format: int
    name: str
    version: VersionNumber
    created: str
    """ISO 8601, UTC."""
    class_names: Annotated[list[str], msgspec.Meta(min_length=2)]
    image: ImageShape
    pixels: int
    """Version of the pixel function (cnnsvc.pixels)."""
    network: Network
    artifacts: dict[str, Artifact]
    """By artifact: model.onnx, model.int8.onnx, saved_model/serving_default, …"""
    files: dict[str, str]
    """SHA-256 of every file of the bundle but this one, by path relative to it."""
    training: dict[str, Any]
    """Settings, seed, package versions, data fingerprint: for people, never read by the server."""
    baseline: Baseline
    scores: HonestScores | None = None
    """None in older bundles, which never reject an image."""

    @property
    def threshold(self) -> float | None:
        """An image whose best score is below it is of none of the classes; None where every image gets an answer."""
        return self.scores.threshold if self.scores else None

    def rejects(self, best_score: float) -> bool:
        """Whether an image is of none of the classes."""
        threshold = self.threshold
        return threshold is not None and best_score < threshold


def write_manifest(folder: Path, manifest: Manifest) -> None:
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST_NAME).write_bytes(text + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """Raises BundleError where it is absent, malformed or of an unknown format."""
    path = folder / MANIFEST_NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from None
    try:
        found = msgspec.json.decode(content, type=_FormatOnly).format
        if found != MANIFEST_FORMAT:
            raise BundleError(f"{path} has format {found}; this program reads format {MANIFEST_FORMAT}", Fault.FORMAT)
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{path} is not a manifest: {error}") from None
    if manifest.image.channels not in (1, 3):
        raise BundleError(f"{path} has images of {manifest.image.channels} channels; allowed are 1 and 3")
    if len(set(manifest.class_names)) < len(manifest.class_names):
        raise BundleError(f"{path} names a class twice: {', '.join(manifest.class_names)}")
    return manifest


class _FormatOnly(msgspec.Struct):
    format: int
