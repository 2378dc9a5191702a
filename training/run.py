"""The story of `cnnsvc train`: a folder of images in, the path of a proven bundle out."""

import importlib.util
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnsvc.bundle import check_model_name
from cnnsvc.errors import InternalError, InvalidError, TrainingError, UnsupportedError
from cnnsvc.manifest import ImageShape
from training.cache import Cache, fill_cache
from training.catalogue import NamedNetwork, resolve
from training.dataset import Listing, Split, scan, split_like_keras
from training.evaluate import least_accuracy, majority_share
from training.facts import run_facts
from training.progress import Reporter, duration
from training.quiet import quiet_loading
from training.settings import CHANNELS, TrainSettings
from training.shapes import measure
from training.trained import Trained

if TYPE_CHECKING:  # TensorFlow's import takes seconds; wrong flags and folders are told before it
    import keras


def train(
    folder: Path, name: str, models_dir: Path, settings: TrainSettings, *, reporter: Reporter | None = None
) -> Path:
    """Trains on folder/<class>/* and writes models_dir/<name>/<next version>/: its path.

    Raises DatasetError, TrainingError for a network that did not learn, UnsupportedError for an absent device or an
    install without TensorFlow, ExportError, InternalError where the disk fails. Nothing is left in models_dir then,
    nor after Ctrl-C.
    """
    check_model_name(name)
    _check_installed()
    _check_writable(models_dir / name)
    reporter = reporter or Reporter()
    try:
        trained = learn(folder, name, settings, reporter)
        check_learned(trained, settings, reporter)
        return _export(trained, models_dir, reporter)
    except OSError as error:
        raise InternalError(f"training of {name!r} stopped: {error}") from error


def learn(folder: Path, name: str, settings: TrainSettings, reporter: Reporter) -> Trained:
    """Everything but the export. What can be wrong with folder and flags is found before TensorFlow's slow import."""
    started_at = time.monotonic()
    network = resolve(settings.model, settings.arch)
    size = settings.image_size or network.image_size
    image = ImageShape(size, size, CHANNELS[settings.color])
    listing = scan(folder)
    measure(network.architecture, image, len(listing.class_names))
    split = split_like_keras(listing, settings.validation_split, settings.seed)
    _say_data(listing, split, reporter)
    cache = fill_cache(listing, split, image, limit_mib=settings.cache_limit_mib, reporter=reporter)
    _say_unreadable(listing, cache, reporter)
    trained = _fit(network, image, listing, cache, settings, name, reporter)
    best = trained.history[trained.best_epoch - 1]
    reporter.say(
        f"best epoch {best.epoch}: validation accuracy {best.validation_accuracy:.3f}"
        f" (largest class {majority_share(trained.validation.labels):.3f}), {duration(time.monotonic() - started_at)}"
    )
    return trained


def check_learned(trained: Trained, settings: TrainSettings, reporter: Reporter) -> None:
    """Raises TrainingError for a dead run, which settings.export_dead turns into a warning."""
    found = trained.history[trained.best_epoch - 1].validation_accuracy
    least = least_accuracy(trained.validation.labels)
    if found >= least:
        return
    share = majority_share(trained.validation.labels)
    text = (
        f"the network did not learn: best validation accuracy {found:.3f} in {len(trained.history)} epochs; always"
        f" naming the largest class gives {share:.3f}, expected at least {least:.3f}."
        f" Try a --learning-rate below {settings.learning_rate:g}, more --epochs, --augment none, another network, and"
        " look whether the images are in the right folders"
    )
    if not settings.export_dead:
        raise TrainingError(f"{text}; --export-dead exports it all the same")
    reporter.say(f"warning: {text}")


def _fit(
    network: NamedNetwork,
    image: ImageShape,
    listing: Listing,
    cache: Cache,
    settings: TrainSettings,
    name: str,
    reporter: Reporter,
) -> Trained:
    with quiet_loading():  # these load TensorFlow
        from training.fit import fit
        from training.network import build_network
        from training.tensorflow_backend import choose_device

        device = choose_device(settings)
    reporter.say(f"network {network.name}: {network.architecture}; {device.description}, {device.dtype_policy}")

    def build() -> "keras.Model":
        return build_network(network.architecture, image, len(listing.class_names), seed=settings.seed)

    fitted = fit(build, image, cache.training, cache.validation, settings, device, reporter)
    # A new one, so that neither mixed precision nor the mirrors of several devices reach the artifacts.
    inference = build()
    inference.set_weights(fitted.weights)
    return Trained(
        name=name,
        network=inference,
        network_name=network.name,
        notation=str(network.architecture),
        class_names=listing.class_names,
        image=image,
        validation=cache.validation,
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        facts=run_facts(settings, device, listing, cache),
    )


def _export(trained: Trained, models_dir: Path, reporter: Reporter) -> Path:
    from training.export.bundle import export_bundle  # loads TensorFlow

    return export_bundle(trained, models_dir, on_step=reporter.say)


def _check_installed() -> None:
    if importlib.util.find_spec("tensorflow") is None:
        raise UnsupportedError("training needs TensorFlow, which is not installed; install the extra cnnsvc[train]")


def _check_writable(model_dir: Path) -> None:
    """Better now than after an hour of training."""
    existing = next(path for path in (model_dir.absolute(), *model_dir.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InvalidError(f"no bundle can be written into {model_dir}: {existing} is not a folder one may write to")


def _say_data(listing: Listing, split: Split, reporter: Reporter) -> None:
    reporter.say(
        f"{len(listing.files)} images of {len(listing.class_names)} classes in {listing.folder}:"
        f" {len(split.training.files)} to train, {len(split.validation.files)} to validate"
    )
    if listing.num_ignored:
        counts = ", ".join(f"{count} {extension}" for extension, count in listing.num_ignored.items())
        reporter.say(f"ignored by extension: {counts}")
    unseen = set(range(len(listing.class_names))).difference(np.unique(split.validation.labels).tolist())
    if unseen:
        names = ", ".join(listing.class_names[label] for label in sorted(unseen))
        reporter.say(f"warning: no validation image of {names}; their accuracy stays unknown")


def _say_unreadable(listing: Listing, cache: Cache, reporter: Reporter) -> None:
    if cache.unreadable:
        first = cache.unreadable[0]
        reporter.say(
            f"warning: {len(cache.unreadable)} of {len(listing.files)} files skipped,"
            f" {first.file} first: {first.reason}; all of them are in the report"
        )
