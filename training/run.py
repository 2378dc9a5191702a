"""The story of `cnnsvc train`: a folder of images in, the path of a proven bundle out."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.bundle import check_model_name
from cnnsvc.errors import InternalError, InvalidError, TrainingError
from cnnsvc.manifest import ImageShape
from training.ablation.facts import ablation_facts
from training.backend import JAX, TENSORFLOW, chosen_backend, load_backend
from training.catalogue import NamedNetwork, resolve
from training.checkpoint import Checkpoint
from training.dataset import scan
from training.evaluate import has_learned, least_right, majority_share, num_majority
from training.facts import run_facts, run_identity
from training.honest_network import with_honest_scores
from training.judged_folder import scan_judged
from training.memory import available_memory, check_memory
from training.prepare import Prepared, prepare
from training.progress import Reporter, duration
from training.quiet import quiet_loading
from training.resume import resumable
from training.settings import CHANNELS, LEAST_ADVISED_RATE, TrainSettings
from training.shapes import NetworkShape, measure
from training.trained import Trained

if TYPE_CHECKING:  # TensorFlow's import takes seconds; wrong flags and folders are told before it
    import keras

CHECKPOINTS_DIR: Final = ".training"
"""In the folder of models, which skips hidden ones when it looks for something to serve."""
_NUM_CALIBRATION: Final = 128


def train(
    folder: Path,
    name: str,
    models_dir: Path,
    settings: TrainSettings,
    *,
    test: Path | None = None,
    ablation: Path | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Trains on folder/<class>/*, judges on test/<class>/* and writes models_dir/<name>/<next version>/: its path.

    Raises DatasetError, TrainingError for a network that did not learn, UnsupportedError for an absent device or an
    install without TensorFlow, ExportError, InternalError where the disk fails. Nothing but a checkpoint of the fit,
    for settings.resume, is left in models_dir then, and after Ctrl-C; a published bundle leaves none.
    """
    check_model_name(name)
    chosen_backend()
    _check_writable(models_dir / name)
    network = resolve(settings.model, settings.arch)
    effects = ablation_facts(ablation, str(network.architecture)) if ablation else None
    reporter = reporter or Reporter()
    try:
        trained = learn(folder, name, settings, reporter, test, models_dir / CHECKPOINTS_DIR)
        if effects:
            trained = replace(trained, facts={**trained.facts, "ablation": effects})
        check_learned(trained, settings, reporter)
        trained = with_honest_scores(trained, settings, reporter)
        path = _export(trained, models_dir, reporter)
        if trained.checkpoint:
            trained.checkpoint.remove()
        return path
    except OSError as error:
        raise InternalError(f"training of {name!r} stopped: {error}") from error


def learn(
    folder: Path,
    name: str,
    settings: TrainSettings,
    reporter: Reporter,
    test: Path | None = None,
    checkpoints: Path | None = None,
) -> Trained:
    """Everything but the export. What can be wrong with folder and flags is found before TensorFlow's slow import.

    `checkpoints` is the folder to keep the state of the fit in.
    """
    started_at = time.monotonic()
    network = resolve(settings.model, settings.arch)
    size = settings.image_size or network.image_size
    image = ImageShape(size, size, CHANNELS[settings.color])
    listing = scan(folder)
    tested_on = scan_judged(test, listing.class_names) if test else None
    shape = measure(network.architecture, image, len(listing.class_names))
    check_memory(shape, 1, available_memory())
    prepared = prepare(listing, image, settings, reporter, tested_on)
    trained = _fit(network, shape, prepared, settings, name, reporter, checkpoints)
    best = trained.history[trained.best_epoch - 1]
    reporter.say(
        f"best epoch {best.epoch}: validation accuracy {best.validation_accuracy:.3f}"
        f" (largest class {majority_share(trained.validation.labels):.3f}), {duration(time.monotonic() - started_at)}"
    )
    return trained


def check_learned(trained: Trained, settings: TrainSettings, reporter: Reporter) -> None:
    """Raises TrainingError for a dead run, which settings.export_dead turns into a warning."""
    found, labels = trained.history[trained.best_epoch - 1].validation_accuracy, trained.validation.labels
    if has_learned(found, labels):
        return
    side = "below" if settings.learning_rate > LEAST_ADVISED_RATE else "above"
    text = (
        f"the network did not learn: in the best of {len(trained.history)} epochs it names"
        f" {round(found * len(labels))} of {len(labels)} validation images right ({found:.3f}); always naming the"
        f" largest class gets {num_majority(labels)} ({majority_share(labels):.3f}), expected are at least"
        f" {least_right(labels)}."
        f" Try a --learning-rate {side} {settings.learning_rate:g}, more --epochs, --augment none, another network,"
        " and look whether the images are in the right folders"
    )
    if not settings.export_dead:
        raise TrainingError(f"{text}; --export-dead exports it all the same")
    reporter.say(f"warning: {text}")


def _fit(
    network: NamedNetwork,
    shape: NetworkShape,
    prepared: Prepared,
    settings: TrainSettings,
    name: str,
    reporter: Reporter,
    checkpoints: Path | None,
) -> Trained:
    image, listing, cache = prepared.image, prepared.listing, prepared.cache
    with quiet_loading():  # these load TensorFlow
        from training.fit import fit
        from training.network import build_network

        backend = load_backend(chosen_backend())
        device = backend.choose_device(settings)
    check_memory(
        shape, settings.batch_size, device.memory_bytes, is_mixed_precision=device.dtype_policy.startswith("mixed")
    )
    reporter.say(f"network {network.name}: {network.architecture}; {device.description}, {device.dtype_policy}")

    def build() -> "keras.Model":
        return build_network(network.architecture, image, len(listing.class_names), seed=settings.seed)

    facts = {**run_facts(settings, device, listing, cache), "inspection": prepared.inspection}
    identity = run_identity(facts, str(network.architecture), image, cache)
    checkpoint = Checkpoint(checkpoints, name, identity) if checkpoints else None
    started_at = time.monotonic()
    with backend.memory_errors_told(), resumable(checkpoint, settings, reporter):
        fitted = fit(build, image, cache.training, cache.validation, settings, device, reporter, checkpoint)
        timings = replace(prepared.timings, training_seconds=time.monotonic() - started_at)
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
        calibration_nhwc=_spread(cache.training.images_nhwc, _NUM_CALIBRATION),
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        facts=facts,
        folder=listing.folder,
        checkpoint=checkpoint,
        timings=timings,
        held_out=prepared.held_out,
    )


def _spread(images_nhwc: NDArray[np.uint8], num_images: int) -> NDArray[np.uint8]:
    """At most so many of the images, evenly spread over the split, which is in no order of classes."""
    places = np.linspace(0, len(images_nhwc) - 1, min(len(images_nhwc), num_images)).round().astype(int)
    spread: NDArray[np.uint8] = images_nhwc[places]
    return spread


def _export(trained: Trained, models_dir: Path, reporter: Reporter) -> Path:
    if chosen_backend() == JAX:
        return _export_from_jax(trained, models_dir, reporter)
    from training.export.bundle import export_bundle  # loads TensorFlow

    with load_backend(TENSORFLOW).memory_errors_told():
        return export_bundle(trained, models_dir, on_step=reporter.say)


def _export_from_jax(trained: Trained, models_dir: Path, reporter: Reporter) -> Path:
    from training.evaluate import predict_batch_size, predict_scores
    from training.export.process import export_apart
    from training.jax_backend import exact_products, memory_errors_told

    with memory_errors_told(), exact_products():
        batch_size = predict_batch_size(trained.network)
        scores_nk = predict_scores(trained.network, trained.validation.images_nhwc, batch_size=batch_size)
    return export_apart(trained, scores_nk, models_dir, on_step=reporter.say)


def _check_writable(model_dir: Path) -> None:
    """Better now than after an hour of training."""
    shown = os.fsencode(model_dir).decode("utf-8", "replace")
    if str(model_dir) != shown:
        raise InvalidError(f"no bundle can be written into {shown}: TensorFlow takes names in UTF-8 only")
    try:
        existing = next(path for path in (model_dir.absolute(), *model_dir.absolute().parents) if _is_there(path))
        is_writable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    except OSError as error:
        raise InvalidError(f"no bundle can be written into {model_dir}: {error.strerror}") from None
    if not is_writable:
        raise InvalidError(f"no bundle can be written into {model_dir}: {existing} is not a folder one may write to")


def _is_there(path: Path) -> bool:
    """Links to nothing count: no folder can be made in their place."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
