"""The proof: every artifact runs over the whole validation split and is compared with the trained network.

An image counts as agreeing when both choose the same class, or when the trained network itself scores the two classes
within 1e-3 of each other: between such a pair rounding decides. Whatever is chosen, no probability of an artifact that
takes pixels may be further off than the golden check of the server allows. One that rounds for speed may shift
probabilities; it is published only if classes and accuracy stay.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cnnsvc.bins import NUM_CHANNEL_MEAN_BINS, NUM_CONFIDENCE_BINS, channel_mean_bin, channel_means, confidence_bin
from cnnsvc.engines.base import Images, Scores
from cnnsvc.errors import EngineError, ExportError, ImageError
from cnnsvc.manifest import Artifact, Baseline
from training.export.agreement import Agreement, Candidate
from training.originals import read_again
from training.trained import Labelled

BATCH_SIZE: Final = 32


@dataclass(frozen=True)
class Proof:
    scores_nk: Scores
    """The trained network's own, float32 (N, K), over the validation split in order."""
    agreements: list[Agreement]
    """One a candidate, in their order."""
    baseline: Baseline

    def with_drafts(self, *drafts: str | None) -> "Proof":
        """Without the other drafts."""
        return replace(self, agreements=[one for one in self.agreements if one.draft in ("", *drafts)])


def prove(
    validation: Labelled,
    reference: Callable[[Images], Scores],
    candidates: list[Candidate],
    *,
    batch_size: int = BATCH_SIZE,
) -> Proof:
    """Compares the candidates with the reference, `batch_size` images in memory at a time.

    Files that a candidate cannot decode and files that are lost count for nothing: what is served decodes by our own
    pixels, and hours of training are not thrown away for a moved file. warnings_of tells of both.

    Raises ExportError, with all figures, where one that is no draft disagrees too much or the reference is not finite.
    """
    agreements = [_agreement(candidate) for candidate in candidates]
    batches, means = [], []
    for start in range(0, len(validation.labels), batch_size):
        rows = slice(start, start + batch_size)
        images_nhwc = np.ascontiguousarray(validation.images_nhwc[rows])
        expected_nk = reference(images_nhwc)
        if not np.isfinite(expected_nk).all():
            raise ExportError(f"the trained network gives scores that are not finite on {validation.files[rows][0]}")
        files = [read_again(validation, start + row) for row in range(len(images_nhwc))]
        for candidate, agreement in zip(candidates, agreements, strict=True):
            if agreement.failure:
                continue
            if candidate.takes == "pixels":
                _add_pixels(agreement, candidate, images_nhwc, expected_nk, validation.labels[rows])
            else:
                _add_originals(agreement, candidate, files, expected_nk, validation.labels[rows])
        batches.append(expected_nk)
        means += [channel_means(image_hwc) for image_hwc in images_nhwc]
    _check([one for one in agreements if not one.draft])
    scores_nk = np.concatenate(batches)
    return Proof(scores_nk, agreements, baseline_of(scores_nk, np.array(means)))


def accepted_draft(agreements: list[Agreement], drafts: Iterable[str]) -> str | None:
    """Of the drafts that every engine accepts the one closest to the trained network; None where there is none.

    Closest is what disagrees on the fewest images in its worst engine, of equals what differs least.
    """
    found = {draft: [one for one in agreements if one.draft == draft] for draft in drafts}
    accepted = [draft for draft, engines in found.items() if engines and all(one.is_accepted for one in engines)]
    return min(
        accepted, key=lambda draft: max((one.num_disagreeing, one.max_difference) for one in found[draft]), default=None
    )


def failures_of(proof: Proof, artifact: str) -> str:
    """The figures by which the drafts of an artifact failed, for people."""
    failed = (one for one in proof.agreements if one.artifact == artifact and not one.is_accepted)
    return "; ".join(one.describe() for one in failed)


def baseline_of(scores_nk: Scores, means_nc: NDArray[np.float64]) -> Baseline:
    """What drift is measured against, from float32 (N, K) scores and each image's mean of each channel, 0..255."""
    class_counts = np.bincount(scores_nk.argmax(axis=1), minlength=scores_nk.shape[1])
    return Baseline(
        class_shares=(class_counts / len(scores_nk)).tolist(),
        confidence_histogram=_histogram(scores_nk.max(axis=1), confidence_bin, NUM_CONFIDENCE_BINS),
        channel_means=means_nc.mean(axis=0).tolist(),
        channel_mean_histograms=[
            _histogram(means_n, channel_mean_bin, NUM_CHANNEL_MEAN_BINS) for means_n in means_nc.T
        ],
    )


def artifacts_of(agreements: list[Agreement]) -> dict[str, Artifact]:
    """The figures for the manifest: of an artifact's engines always the worst. One that ran on no image is left out."""
    artifacts: dict[str, Artifact] = {}
    for name in dict.fromkeys(one.artifact for one in agreements):
        engines = [one for one in agreements if one.artifact == name and one.num_images]
        if engines:
            artifacts[name] = Artifact(
                precision=engines[0].precision,
                num_images=min(one.num_images for one in engines),
                accuracy=min(one.num_correct / one.num_images for one in engines),
                top1_agreement=min(one.num_same / one.num_images for one in engines),
                max_difference=max(one.max_difference for one in engines),
                num_undecodable=max(one.num_undecodable for one in engines),
            )
    return artifacts


def warnings_of(agreements: list[Agreement]) -> list[str]:
    """What the figures leave out, for people."""
    warnings = [
        f"{one.artifact} cannot decode {one.num_undecodable} of {one.num_images + one.num_undecodable} files,"
        " which are not in its figures"
        for one in agreements
        if one.num_undecodable
    ]
    if num_lost := max((one.num_lost for one in agreements), default=0):
        warnings.append(
            f"{num_lost} validation files are gone or have changed since they were decoded;"
            " the signatures that take files were not compared on them"
        )
    unproven = dict.fromkeys(one.artifact for one in agreements if not one.num_images)
    return [*warnings, *(f"{name} ran on no file at all: it is unproven and not in the manifest" for name in unproven)]


def _histogram(values: NDArray[Any], bin_of: Callable[[float, int], int], num_bins: int) -> list[int]:
    counts = [0] * num_bins
    for value in values.tolist():
        counts[bin_of(value, num_bins)] += 1
    return counts


def _agreement(candidate: Candidate) -> Agreement:
    return Agreement(
        candidate.artifact, candidate.engine, candidate.takes, candidate.precision, candidate.limits, candidate.draft
    )


def _add_pixels(
    agreement: Agreement, candidate: Candidate, images_nhwc: Images, expected_nk: Scores, labels: NDArray[np.int32]
) -> None:
    """A draft that fails is out; no training is lost for it."""
    try:
        found_nk = candidate.run(images_nhwc)
    except EngineError as error:
        if not candidate.draft:
            raise
        agreement.failure = str(error)
        return
    agreement.add(expected_nk, found_nk, labels)


def _add_originals(
    agreement: Agreement,
    candidate: Candidate,
    originals: list[bytes | None],
    expected_nk: Scores,
    labels: NDArray[np.int32],
) -> None:
    rows = [row for row, original in enumerate(originals) if original is not None]
    agreement.num_lost += len(originals) - len(rows)
    if rows:
        files = [original for original in originals if original is not None]
        _add_files(agreement, candidate, files, expected_nk[rows], labels[rows])


def _add_files(
    agreement: Agreement, candidate: Candidate, files: list[bytes], expected_nk: Scores, labels: NDArray[np.int32]
) -> None:
    """Runs a batch of files; where one is refused, each alone, since one bad file fails its whole batch."""
    try:
        agreement.add(expected_nk, candidate.run(files), labels)
    except ImageError:
        if len(files) == 1:
            agreement.num_undecodable += 1
            return
        for row, file in enumerate(files):
            only = slice(row, row + 1)
            _add_files(agreement, candidate, [file], expected_nk[only], labels[only])


def _check(agreements: list[Agreement]) -> None:
    if failed := [one for one in agreements if not one.is_accepted]:
        raise ExportError(
            "the exported network disagrees with the trained one: " + "; ".join(one.describe() for one in failed)
        )
