"""Turns a finished training into a published bundle: write, prove, record golden answers, report, publish."""

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import keras
import msgspec
import numpy as np
import tensorflow as tf

from cnnsvc import pixels
from cnnsvc.bundle import check_model_name, publish, staging
from cnnsvc.engines.base import BFLOAT16, Engine, Images, Scores
from cnnsvc.engines.golden import DEFAULT_TOLERANCE, TOLERANCES, disagreements, write_golden
from cnnsvc.engines.load import open_engine
from cnnsvc.engines.openvino import has_bfloat16
from cnnsvc.errors import DatasetError, EngineError, ExportError, ImageError
from cnnsvc.manifest import MANIFEST_FORMAT, Manifest, Network
from cnnsvc.pixels import PIXELS_VERSION, Pixels
from training.evaluate import predict_batch_size
from training.export.agreement import OTHER_DECODER, ROUNDED, Agreement, Candidate
from training.export.drafts import written_drafts
from training.export.examples import Examples, choose_examples
from training.export.int8 import INT8_NAME
from training.export.onnx import ONNX_NAME, metadata_of, write_onnx
from training.export.parity import (
    BATCH_SIZE,
    Proof,
    accepted_draft,
    artifacts_of,
    failures_of,
    prove,
    warnings_of,
)
from training.export.savedmodel import LoadedSavedModel, write_saved_model
from training.export.triton import write_triton_files
from training.export.warmup import bytes_log, classify_log, predict_logs, write_warmup
from training.held_out import HeldOutResult, judge_held_out, result_facts, result_lines
from training.model_card import write_card
from training.report import write_report
from training.report_page import write_page
from training.trained import Trained

_ENGINES: Final = ("openvino", "onnxruntime")
_BFLOAT16_NAME: Final = ONNX_NAME + BFLOAT16
_BFLOAT16: Final = "bfloat16"


def export_bundle(trained: Trained, models_dir: Path, *, on_step: Callable[[str], None]) -> Path:
    """Publishes models_dir/<name>/<next version>/ and returns it; nothing is left behind where it fails.

    Raises ExportError, with the figures, where an artifact disagrees with the trained network.
    """
    check_model_name(trained.name)
    model_dir = models_dir / trained.name
    with staging(model_dir) as folder:
        started_at = time.monotonic()
        on_step("writing the SavedModel")
        write_saved_model(trained.network, trained.class_names, trained.image, folder)
        on_step(f"writing {ONNX_NAME}")
        metadata = metadata_of(trained.name, trained.class_names, trained.notation)
        write_onnx(trained.network, metadata, trained.image, folder / ONNX_NAME)
        on_step(f"quantising {INT8_NAME}")
        with _candidates(folder, trained) as exact, written_drafts(trained, metadata, _ENGINES) as drafts:
            candidates = [*exact, *drafts.candidates]
            on_step(f"proving {len(candidates)} exports on {len(trained.validation.labels)} validation images")
            proof = _prove(trained, candidates)
            examples = choose_examples(trained.validation, trained.class_names, trained.image)
            answers = _answer_all(candidates, proof.agreements, examples)
            draft, int8 = drafts.publish(proof, folder)
            if failures := failures_of(proof, _BFLOAT16_NAME):
                on_step(f"{_BFLOAT16_NAME} will not be served: {failures}")
            proof = proof.with_drafts(draft, accepted_draft(proof.agreements, [_BFLOAT16]))
            for line in (*(one.describe() for one in proof.agreements), int8):
                on_step(line)
            for warning in warnings_of(proof.agreements):
                on_step(f"warning: {warning}")
            on_step("recording golden answers")
            kept = dict.fromkeys((one.artifact, one.draft) for one in proof.agreements)
            _write_answers(folder, trained, examples, {one[0]: answers[one] for one in kept if one in answers})
            seconds = time.monotonic() - started_at
            tested = _tested(trained, exact[0], on_step)
        trained = _with_facts(trained, tested, seconds)
        on_step("writing the report")
        export = {"agreements": [asdict(agreement) for agreement in proof.agreements]}
        write_report(folder, trained, proof.scores_nk, export, tested)
        manifest = _manifest(trained, proof, int8)
        write_page(folder, trained, proof, manifest, tested)
        write_card(folder, trained, proof, manifest, tested)
        path = publish(folder, manifest)
    try:
        write_triton_files(model_dir, msgspec.structs.replace(manifest, version=int(path.name)))
    except OSError as error:  # the bundle is published and whole without them
        on_step(f"warning: the files for Triton beside {path} could not be written: {error}")
    return path


def _tested(trained: Trained, served: Candidate, on_step: Callable[[str], None]) -> HeldOutResult | None:
    """No training is lost for a test folder that is gone by now."""
    if trained.held_out is None:
        return None
    image = trained.image

    def decode(image_bytes: bytes) -> Pixels:
        return pixels.decode(image_bytes, image.height, image.width, image.channels)

    on_step(f"judging {served.artifact} on {len(trained.held_out.listing.files)} test images")
    try:
        tested = judge_held_out(trained.held_out, served.artifact, decode, served.run)
    except (DatasetError, EngineError) as error:
        on_step(f"warning: not tested: {error}")
        return None
    for line in result_lines(tested):
        on_step(line)
    return tested


def _with_facts(trained: Trained, tested: HeldOutResult | None, export_seconds: float) -> Trained:
    """On record for people: how long everything took, and the figures of the test."""
    facts = {**trained.facts, "timings": asdict(replace(trained.timings, export_seconds=export_seconds))}
    if tested:
        facts["test"] = result_facts(tested)
    return replace(trained, facts=facts)


@contextlib.contextmanager
def _candidates(folder: Path, trained: Trained) -> Iterator[list[Candidate]]:
    """Every artifact in every engine that may run it; the first one of model.onnx is the server's default."""
    saved_model = LoadedSavedModel(folder, trained.class_names)
    with contextlib.ExitStack() as stack, _exact_products():
        engines: list[Engine] = []
        for name in _ENGINES:
            engines.append(open_engine(name, folder / ONNX_NAME, num_threads=1))
            stack.callback(engines[-1].close)
        rounded = []
        if has_bfloat16():
            engine = open_engine("openvino", folder / ONNX_NAME, num_threads=1, is_bfloat16=True)
            stack.callback(engine.close)
            rounded.append(
                Candidate(engine.artifact, engine.name, "pixels", engine.run, "bfloat16", ROUNDED, _BFLOAT16)
            )
        yield [
            *(Candidate(ONNX_NAME, engine.name, "pixels", engine.run) for engine in engines),
            Candidate("saved_model/serving_default", "tensorflow", "pixels", saved_model.serving_default),
            Candidate("saved_model/serving_float", "tensorflow", "pixels", saved_model.serving_float),
            Candidate(
                "saved_model/serving_bytes", "tensorflow", "files", saved_model.serving_bytes, limits=OTHER_DECODER
            ),
            Candidate("saved_model/classify", "tensorflow", "files", saved_model.classify, limits=OTHER_DECODER),
            *rounded,
        ]


@contextlib.contextmanager
def _exact_products() -> Iterator[None]:
    """Products of float32 in full: GPUs round their factors to TF32's 10 bits, which is no property of the export."""
    was_enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(was_enabled)


def _prove(trained: Trained, candidates: list[Candidate]) -> Proof:
    batch_size = min(BATCH_SIZE, predict_batch_size(trained.network))
    return prove(
        trained.validation, lambda images: _predict(trained.network, images), candidates, batch_size=batch_size
    )


def _predict(network: keras.Model, images_nhwc: Images) -> Scores:
    scores: Scores = keras.ops.convert_to_numpy(network(images_nhwc.astype(np.float32), training=False))
    return scores.astype(np.float32, copy=False)


def _answer_all(
    candidates: list[Candidate], agreements: list[Agreement], examples: Examples
) -> dict[tuple[str, str], Scores]:
    """By artifact and draft what it answers to the examples, as its first engine does.

    An engine that would not load the bundle for what another one answered fails the export, or its draft.
    """
    answers: dict[tuple[str, str], Scores] = {}
    for candidate, agreement in zip(candidates, agreements, strict=True):
        if agreement.failure:
            continue
        try:
            found = _answers(candidate, examples)
            _check_answers(candidate, answers.setdefault((candidate.artifact, candidate.draft), found), found)
        except ImageError:
            pass  # a file that TensorFlow cannot decode has no answer to record
        except (ExportError, EngineError) as error:
            if not candidate.draft:
                raise
            agreement.failure = str(error)
    return answers


def _write_answers(folder: Path, trained: Trained, examples: Examples, answers: dict[str, Scores]) -> None:
    """Writes golden/ and the warm-up file, from what each artifact answers to the examples."""
    write_golden(folder, list(zip(examples.names, examples.files, strict=True)), answers)
    write_warmup(folder, _warmup_records(trained, examples, answers))


def _answers(candidate: Candidate, examples: Examples) -> Scores:
    """One row an example, each run alone, as the golden check will do."""
    given: Any = examples.images_nhwc if candidate.takes == "pixels" else examples.files
    return np.concatenate([candidate.run(given[row : row + 1]) for row in range(len(given))])


def _check_answers(candidate: Candidate, recorded: Scores, found: Scores) -> None:
    """Raises ExportError where an engine would not load the bundle for what another one answered."""
    tolerance = TOLERANCES.get(candidate.precision, DEFAULT_TOLERANCE)
    if wrong := disagreements(recorded, found, tolerance):
        raise ExportError(
            f"{candidate.engine} answers {len(wrong)} of {len(found)} golden images unlike the engine whose answers"
            f" for {candidate.artifact} are recorded; largest difference {np.abs(recorded - found).max():.1e},"
            f" allowed {tolerance:g}"
        )


def _warmup_records(trained: Trained, examples: Examples, answers: dict[str, Scores]) -> Iterator[Any]:
    yield from predict_logs(trained.name, examples.images_nhwc, answers["saved_model/serving_default"])
    if (scores_nk := answers.get("saved_model/serving_bytes")) is not None:
        yield bytes_log(trained.name, examples.files[0], scores_nk[:1])
    if (scores_nk := answers.get("saved_model/classify")) is not None:
        yield classify_log(trained.name, examples.files[0], trained.class_names, scores_nk[:1])


def _manifest(trained: Trained, proof: Proof, int8: str) -> Manifest:
    """Everything but the version and the files, which publishing adds."""
    return Manifest(
        format=MANIFEST_FORMAT,
        name=trained.name,
        version=0,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        class_names=trained.class_names,
        image=trained.image,
        pixels=PIXELS_VERSION,
        network=Network(trained.network_name, trained.notation, trained.network.count_params()),
        artifacts=artifacts_of(proof.agreements),
        files={},
        training={**trained.facts, "int8": int8},
        baseline=proof.baseline,
        scores=trained.scores.for_manifest() if trained.scores else None,
    )
