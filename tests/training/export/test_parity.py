"""The proof's arithmetic, with functions in place of networks."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from cnnsvc.engines.base import Images, Scores
from cnnsvc.errors import ExportError, ImageError
from training.export.agreement import OTHER_DECODER, ROUNDED, Agreement, Candidate
from training.export.parity import (
    BATCH_SIZE,
    accepted_draft,
    artifacts_of,
    baseline_of,
    failures_of,
    prove,
    warnings_of,
)
from training.originals import sha256_of
from training.trained import Labelled

NUM_CLASSES = 3


def split(folder: Path, num_images: int) -> Labelled:
    """Grey images of values 0, 1, 2, …, each with a file that holds its value; the class is the value modulo three."""
    values = np.arange(num_images, dtype=np.uint8)
    files = [folder / f"{value}.bin" for value in values]
    contents = [bytes([value]) for value in values]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    images_nhwc = np.tile(values[:, None, None, None], (1, 2, 2, 1))
    labels = (values % NUM_CLASSES).astype(np.int32)
    return Labelled(files, images_nhwc, labels, [sha256_of(content) for content in contents])


def certain(values: NDArray[Any], shift: float = 0.0) -> Scores:
    """0.9 for the right class, minus the shift, which goes to the next one."""
    scores = np.full((len(values), NUM_CLASSES), 0.05, np.float32)
    rows = np.arange(len(values))
    scores[rows, values % NUM_CLASSES] = 0.9 - shift
    scores[rows, (values + 1) % NUM_CLASSES] += shift
    return scores


def reference(images_nhwc: Images) -> Scores:
    return certain(images_nhwc[:, 0, 0, 0].astype(int))


def wrong_about(values: set[int]) -> Callable[[Any], Scores]:
    """As certain as the reference, of the next class for these images; takes pixels and files alike."""

    def run(given: Any) -> Scores:
        found = np.array([one[0] if isinstance(one, bytes) else one[0, 0, 0] for one in given], int)
        return certain(found + np.isin(found, list(values)))

    return run


def candidate(takes: Literal["pixels", "files"], run: Callable[[Any], Scores]) -> Candidate:
    if takes == "files":
        return Candidate("saved_model/serving_bytes", "openvino", takes, run, limits=OTHER_DECODER)
    return Candidate("model.onnx", "openvino", takes, run)


def test_a_faithful_artifact(tmp_path: Path) -> None:
    """Agreement everywhere is 1, the difference 0, the accuracy the network's own."""
    proof = prove(split(tmp_path, 70), reference, [candidate("pixels", reference)])
    (artifact,) = artifacts_of(proof.agreements).values()
    assert (artifact.num_images, artifact.accuracy, artifact.top1_agreement) == (70, 1.0, 1.0)
    assert artifact.max_difference == 0
    assert artifact.precision == "float32"


def shifted_at_41(shift: float) -> Callable[[Any], Scores]:
    """As the reference, but for one image whose scores are off by this."""

    def run(given: Any) -> Scores:
        values = np.array([one[0] if isinstance(one, bytes) else one[0, 0, 0] for one in given], int)
        return np.array(np.where((values == 41)[:, None], certain(values, shift), certain(values)), np.float32)

    return run


@pytest.mark.parametrize(("takes", "shift"), [("pixels", 9e-4), ("files", 0.25)])
def test_the_largest_difference(takes: Literal["pixels", "files"], shift: float, tmp_path: Path) -> None:
    """The largest difference of a single probability is found wherever it is."""
    (agreement,) = prove(split(tmp_path, 70), reference, [candidate(takes, shifted_at_41(shift))]).agreements
    assert agreement.max_difference == pytest.approx(shift, rel=1e-3)
    assert agreement.num_same == 70


def test_pixels_must_give_the_same_scores(tmp_path: Path) -> None:
    """An artifact that chooses the same class of the same pixels but scores it otherwise fails, with the figures."""
    with pytest.raises(
        ExportError, match=r"0 of 70 images disagree \(allowed 0\), largest difference 1\.1e-03 \(allowed"
    ):
        prove(split(tmp_path, 70), reference, [candidate("pixels", shifted_at_41(1.1e-3))])


def test_an_indifferent_network_excuses_nothing() -> None:
    """Scores within 1e-3 of each other throughout are near ties, which the figures show and the difference bounds."""
    random = np.random.default_rng(0)
    expected = (1 / 50 + random.uniform(-4e-4, 4e-4, (100, 50))).astype(np.float32)
    agreement = Agreement("model.onnx", "openvino", "pixels")
    agreement.add(expected, expected[:, ::-1], np.zeros(100, np.int32))
    assert agreement.num_disagreeing == 0
    assert f"{agreement.num_near_ties} nearly tied" in agreement.describe()
    agreement.add(expected, np.roll(expected * 3, 1, axis=1), np.zeros(100, np.int32))
    assert not agreement.is_accepted


def test_batches_are_bounded_and_in_order(tmp_path: Path) -> None:
    """No call gets more than a batch, and the scores come back in the order of the split."""
    sizes: list[int] = []

    def counting(images_nhwc: Images) -> Scores:
        sizes.append(len(images_nhwc))
        return reference(images_nhwc)

    proof = prove(split(tmp_path, 70), counting, [])
    assert sizes == [BATCH_SIZE, BATCH_SIZE, 70 - 2 * BATCH_SIZE]
    sizes.clear()
    prove(split(tmp_path, 7), counting, [], batch_size=3)
    assert sizes == [3, 3, 1]
    np.testing.assert_array_equal(proof.scores_nk.argmax(axis=1), np.arange(70) % NUM_CLASSES)


@pytest.mark.parametrize(
    ("takes", "num_images", "num_wrong", "is_accepted"),
    [
        ("pixels", 200, 1, False),
        ("files", 20, 1, True),
        ("files", 20, 2, False),
        ("files", 66, 2, False),
        ("files", 67, 2, True),
        ("files", 200, 6, True),
        ("files", 200, 7, False),
    ],
)
def test_how_many_may_disagree(
    takes: Literal["pixels", "files"], num_images: int, num_wrong: int, is_accepted: bool, tmp_path: Path
) -> None:
    """Of pixels 0.1 % may disagree, of files 3 % and always one; the error gives the figures."""
    candidates = [candidate(takes, wrong_about(set(range(num_wrong))))]
    if is_accepted:
        (agreement,) = prove(split(tmp_path, num_images), reference, candidates).agreements
        assert agreement.num_disagreeing == num_wrong
    else:
        with pytest.raises(ExportError, match=f"openvino: {num_wrong} of {num_images} images disagree"):
            prove(split(tmp_path, num_images), reference, candidates)


@pytest.mark.parametrize(("num_images", "num_allowed"), [(999, 0), (1000, 1), (1999, 1), (2000, 2)])
def test_one_in_a_thousand(num_images: int, num_allowed: int) -> None:
    """The share allowed to tensor artifacts is rounded down to whole images."""
    assert Agreement("model.onnx", "openvino", "pixels", num_images=num_images).num_allowed == num_allowed


@pytest.mark.parametrize(("margin", "is_near_tie"), [(0.0009, True), (0.0011, False)])
def test_near_ties(margin: float, is_near_tie: bool) -> None:
    """Another best class is forgiven where the network itself scores the two within 1e-3; it is counted apart."""
    agreement = Agreement("model.onnx", "openvino", "pixels")
    expected = np.array([[0.4 + margin, 0.4, 0.2 - margin]], np.float32)
    agreement.add(expected, expected[:, [1, 0, 2]], np.zeros(1, np.int32))
    assert (agreement.num_same, agreement.num_near_ties, agreement.num_disagreeing) == (
        0,
        int(is_near_tie),
        int(not is_near_tie),
    )


def test_a_tie_between_other_classes_is_not_forgiven() -> None:
    """What counts is the class that was chosen, not whether any two classes are close."""
    agreement = Agreement("model.onnx", "openvino", "pixels")
    expected = np.array([[0.45, 0.4499, 0.1001]], np.float32)
    agreement.add(expected, expected[:, [2, 1, 0]] + np.array([0, -0.2, 0], np.float32), np.zeros(1, np.int32))
    assert agreement.num_disagreeing == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("takes", ["pixels", "files"])
def test_answers_that_are_not_finite(takes: Literal["pixels", "files"], value: float, tmp_path: Path) -> None:
    """A single score that is no number fails the export, whatever share would be allowed."""

    def run(given: Any) -> Scores:
        scores = wrong_about(set())(given)
        scores[0, 0] = value
        return scores

    with pytest.raises(ExportError, match="largest difference inf"):
        prove(split(tmp_path, 40), reference, [candidate(takes, run)])


def test_a_network_that_is_not_finite(tmp_path: Path) -> None:
    """A trained network that answers NaN is not exported; the error names a file."""
    with pytest.raises(ExportError, match=r"not finite on .*0\.bin"):
        prove(split(tmp_path, 3), lambda images_nhwc: reference(images_nhwc) * np.float32(np.nan), [])


def test_files_that_cannot_be_decoded(tmp_path: Path) -> None:
    """Files that one decoder refuses are counted apart and cost only themselves, not their batch."""

    def run(files: list[bytes]) -> Scores:
        if any(file[0] in (5, 6, 69) for file in files):
            raise ImageError("no")
        return wrong_about({7})(files)

    (agreement,) = prove(split(tmp_path, 70), reference, [candidate("files", run)]).agreements
    assert (agreement.num_images, agreement.num_same, agreement.num_undecodable) == (67, 66, 3)
    assert "3 not decodable" in agreement.describe()
    assert warnings_of([agreement]) == [
        "saved_model/serving_bytes cannot decode 3 of 70 files, which are not in its figures"
    ]
    assert artifacts_of([agreement])["saved_model/serving_bytes"].num_undecodable == 3


def test_files_that_are_lost_meanwhile(tmp_path: Path) -> None:
    """A file that is gone or overwritten since it was decoded costs no more than its comparison."""
    validation = split(tmp_path, 70)
    validation.files[3].unlink()
    validation.files[4].write_bytes(b"something else")
    candidates = [candidate("pixels", reference), candidate("files", wrong_about(set()))]
    pixels, files = prove(validation, reference, candidates).agreements
    assert (pixels.num_images, files.num_images, files.num_same, files.num_lost) == (70, 68, 68, 2)
    assert "2 gone or changed" in files.describe()
    (warning,) = warnings_of([pixels, files])
    assert warning.startswith("2 validation files are gone or have changed")


def test_an_artifact_that_ran_on_nothing(tmp_path: Path) -> None:
    """An artifact that could decode no file has no figures and is not in the manifest, of which a warning tells."""

    def refuse(files: list[bytes]) -> Scores:
        raise ImageError("no")

    proof = prove(split(tmp_path, 3), reference, [candidate("files", refuse)])
    assert artifacts_of(proof.agreements) == {}
    assert "ran on no file at all" in warnings_of(proof.agreements)[-1]


def test_the_worst_engine_counts() -> None:
    """An artifact that several engines run has the worst figure of each kind in the manifest."""
    agreements = [
        Agreement("model.onnx", "openvino", "pixels", num_images=10, num_correct=8, num_same=10, max_difference=0.1),
        Agreement("model.onnx", "onnxruntime", "pixels", num_images=10, num_correct=9, num_same=9, max_difference=0.01),
    ]
    artifact = artifacts_of(agreements)["model.onnx"]
    assert (artifact.accuracy, artifact.top1_agreement, artifact.max_difference) == (0.8, 0.9, 0.1)


def test_the_baseline(tmp_path: Path) -> None:
    """Class shares, confidences in ten bins, channel means and each image's own in sixteen describe the split."""
    baseline = baseline_of(
        np.array([[0.95, 0.05, 0.0], [1.0, 0.0, 0.0], [0.3, 0.35, 0.35], [0.2, 0.2, 0.6]], np.float32),
        np.array([[0.0, 20.0, 255.0], [15.9, 20.0, 255.0], [16.0, 20.0, 0.0], [10.1, 20.0, 254.0]]),
    )
    assert baseline.class_shares == [0.5, 0.25, 0.25]
    assert baseline.confidence_histogram == [0, 0, 0, 1, 0, 0, 1, 0, 0, 2]
    assert baseline.channel_means == [10.5, 20.0, 191.0]
    assert baseline.channel_mean_histograms == [[3, 1, *[0] * 14], [0, 4, *[0] * 14], [1, *[0] * 14, 3]]
    proved = prove(split(tmp_path, 40), reference, []).baseline
    assert proved.channel_means == [19.5]
    assert proved.channel_mean_histograms == [[16, 16, 8, *[0] * 13]]


def rounded(draft: str, run: Callable[[Any], Scores], engine: str = "openvino") -> Candidate:
    return Candidate("model.int8.onnx", engine, "pixels", run, "int8", ROUNDED, draft)


@pytest.mark.parametrize(("num_wrong", "is_accepted"), [(1, True), (2, True), (3, False)])
def test_what_rounding_may_change(tmp_path: Path, num_wrong: int, is_accepted: bool) -> None:
    """Of 240 images two may change class, whatever their scores do; accuracy may fall by half a point, here one."""
    wrong = set(range(num_wrong))
    labels = split(tmp_path, 240).labels
    labels[1:num_wrong] = 0  # the network is right about the first of them only, so only one can be lost
    validation = dataclasses.replace(split(tmp_path, 240), labels=labels)
    (agreement,) = prove(validation, reference, [rounded("a", wrong_about(wrong))]).agreements
    assert (agreement.num_disagreeing, agreement.is_accepted) == (num_wrong, is_accepted)


@pytest.mark.parametrize(("num_images", "is_accepted"), [(199, False), (200, True)])
def test_accuracy_that_falls(tmp_path: Path, num_images: int, is_accepted: bool) -> None:
    """One image of 200 is half a point, one of 199 more than that."""
    (agreement,) = prove(split(tmp_path, num_images), reference, [rounded("a", wrong_about({5}))]).agreements
    assert agreement.accuracy_change == -1 / num_images
    assert agreement.is_accepted == is_accepted
    assert f"accuracy {-100 / num_images:+.2f} points (allowed -0.5)" in agreement.describe()


def test_the_best_draft_that_every_engine_accepts(tmp_path: Path) -> None:
    """A draft that one engine gets wrong is passed over; its figures are told, the accepted one stays in the proof.

    Of those that are accepted the closest is taken.
    """
    everything = wrong_about(set(range(150)))
    candidates = [
        rounded("first", reference),
        rounded("first", everything, "onnxruntime"),
        rounded("far", lambda images: certain(images[:, 0, 0, 0].astype(int), shift=0.1)),
        rounded("second", reference),
        rounded("second", reference, "onnxruntime"),
        candidate("pixels", reference),
    ]
    proof = prove(split(tmp_path, 150), reference, candidates)
    assert accepted_draft(proof.agreements, ["first", "far", "second"]) == "second"
    assert accepted_draft(proof.agreements, ["first", "far"]) == "far"
    assert "model.int8.onnx (first) in onnxruntime: 150 of 150 images disagree" in failures_of(proof, "model.int8.onnx")
    kept = proof.with_drafts("second").agreements
    assert [(one.artifact, one.engine) for one in kept] == [
        ("model.int8.onnx", "openvino"),
        ("model.int8.onnx", "onnxruntime"),
        ("model.onnx", "openvino"),
    ]
    assert accepted_draft(proof.agreements, ["first", "absent"]) is None
    assert artifacts_of(kept)["model.int8.onnx"].precision == "int8"
