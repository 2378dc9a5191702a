"""Two bundles judged on the same images, pair by pair: what `cnnsvc compare --json` prints, field by field."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.engines.base import BFLOAT16, Scores
from cnnsvc.errors import ImageError, InvalidError, TooLargeError
from cnnsvc.manifest import Manifest
from cnnsvc.model import Model
from training.answers import Answers, answer_all
from training.dataset import Listing
from training.evaluation import bad_files
from training.inspection.findings import BadFile, shown
from training.judged_folder import quoted
from training.judgement import Judgement, judgement_of
from training.originals import read_file
from training.paired import Pairs, difference_interval, mcnemar_p, pairs_of, verdict
from training.progress import Reporter

_NUM_TIMED: Final = 100
"""Images that the time of an inference is the median of."""


@dataclass(frozen=True)
class Contestant:
    model: str
    version: int
    artifact: str
    engine: str
    num_parameters: int
    size_bytes: int
    """Of the artifact's file."""
    median_inference_ms: float
    """Of one image at a time on one thread, both bundles in turn; without reading and decoding."""
    judgement: Judgement


@dataclass(frozen=True)
class Answer:
    name: str
    score: float


@dataclass(frozen=True)
class Difference:
    """An image to which the two give different classes."""

    file: str
    true_name: str
    a: Answer
    b: Answer


@dataclass(frozen=True)
class Comparison:
    """Files are named relative to the folder, their class first."""

    folder: str
    num_files: int
    unreadable: list[BadFile]
    """By either of the two."""
    a: Contestant
    b: Contestant
    pairs: Pairs
    difference: float
    """Accuracy of B less that of A."""
    interval: tuple[float, float]
    """Where the difference lies with 95 % certainty, were the images drawn anew."""
    p: float
    """McNemar's exact test, two-sided: how often equally good networks differ so much or more."""
    verdict: str
    differing: list[Difference]


def check_same_classes(a: Manifest, b: Manifest) -> None:
    """Their order may differ. Raises InvalidError that says which differ."""
    only_a = sorted(set(a.class_names).difference(b.class_names))
    only_b = sorted(set(b.class_names).difference(a.class_names))
    if only_a or only_b:
        parts = [f"only {side} has {quoted(names)}" for side, names in (("A", only_a), ("B", only_b)) if names]
        raise InvalidError(f"the two bundles have different classes: {'; '.join(parts)}; expected the same ones")


def compare_models(a: Model, b: Model, listing: Listing, reporter: Reporter) -> Comparison:
    """The listing has A's class names. Raises DatasetError where no file can be read, EngineError."""
    answers_a, answers_b = _answers(a, listing, reporter), _answers(b, listing, reporter)
    answers_b = _in_order_of(a.manifest, b.manifest, answers_b)
    shared = np.intersect1d(answers_a.rows, answers_b.rows)
    if not len(shared):
        raise InvalidError(f"no file of {listing.folder} can be read by both bundles")
    scores_a, scores_b = (one.scores_nk[np.searchsorted(one.rows, shared)] for one in (answers_a, answers_b))
    labels = listing.labels[shared]
    pairs = pairs_of(scores_a.argmax(axis=1) == labels, scores_b.argmax(axis=1) == labels)
    names = listing.class_names
    times_ms = _median_times_ms(a, b, [listing.files[row] for row in shared.tolist()])
    return Comparison(
        folder=shown(listing.folder),
        num_files=len(listing.files),
        unreadable=bad_files([*dict.fromkeys([*answers_a.unreadable, *answers_b.unreadable])], listing.folder),
        a=_contestant(a, times_ms[0], judgement_of(scores_a, labels, names)),
        b=_contestant(b, times_ms[1], judgement_of(scores_b, labels, names)),
        pairs=pairs,
        difference=pairs.difference,
        interval=difference_interval(pairs),
        p=mcnemar_p(pairs.only_a, pairs.only_b),
        verdict=verdict(pairs),
        differing=_differing(listing, shared, scores_a, scores_b),
    )


def _differing(listing: Listing, rows: NDArray[np.int64], scores_a: Scores, scores_b: Scores) -> list[Difference]:
    """The rows of the listing on whose scores, float32 (N, K), the two disagree."""
    names = listing.class_names
    predicted_a, predicted_b = scores_a.argmax(axis=1), scores_b.argmax(axis=1)
    return [
        Difference(
            file=shown(listing.files[rows[place]].relative_to(listing.folder)),
            true_name=names[listing.labels[rows[place]]],
            a=Answer(names[predicted_a[place]], float(scores_a[place].max())),
            b=Answer(names[predicted_b[place]], float(scores_b[place].max())),
        )
        for place in np.flatnonzero(predicted_a != predicted_b).tolist()
    ]


def _answers(model: Model, listing: Listing, reporter: Reporter) -> Answers:
    return answer_all(listing, model.decode, model.engine.run, num_threads=model.engine.num_streams, reporter=reporter)


def _in_order_of(wanted: Manifest, own: Manifest, answers: Answers) -> Answers:
    columns = [own.class_names.index(name) for name in wanted.class_names]
    return Answers(answers.listing, answers.sha256s, answers.unreadable, answers.rows, answers.scores_nk[:, columns])


def _median_times_ms(a: Model, b: Model, files: list[Path]) -> tuple[float, float]:
    """In turn, so that whatever else the machine does slows both; who begins alternates too."""
    times_ms: tuple[list[float], list[float]] = ([], [])
    for place, file in enumerate(files[:: max(1, len(files) // _NUM_TIMED)]):
        order = ((a, times_ms[0]), (b, times_ms[1]))
        try:
            content = read_file(file)
            decoded = [(model, model.decode(content)[None], times) for model, times in order]
        except (ImageError, TooLargeError):  # gone or changed meanwhile
            continue
        for model, images_nhwc, times in decoded if place % 2 else reversed(decoded):
            started_at = time.perf_counter()
            model.engine.run(images_nhwc)
            times.append(1000 * (time.perf_counter() - started_at))
    return (statistics.median(times_ms[0] or [0.0]), statistics.median(times_ms[1] or [0.0]))


def _contestant(model: Model, median_inference_ms: float, judgement: Judgement) -> Contestant:
    manifest, artifact = model.manifest, model.engine.artifact
    return Contestant(
        model=manifest.name,
        version=manifest.version,
        artifact=artifact,
        engine=model.engine.name,
        num_parameters=manifest.network.num_parameters,
        size_bytes=(model.bundle.path / artifact.removesuffix(BFLOAT16)).stat().st_size,
        median_inference_ms=median_inference_ms,
        judgement=judgement,
    )
