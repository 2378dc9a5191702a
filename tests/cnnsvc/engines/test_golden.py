"""Golden answers: what counts as right, and that anything else keeps a bundle from being served."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cnnsvc.bundle import Bundle, open_bundle
from cnnsvc.engines.base import Images, Scores
from cnnsvc.engines.golden import GOLDEN_DIR, check_golden, disagreements, read_golden, write_golden
from cnnsvc.engines.load import load_engine
from cnnsvc.errors import BundleError, EngineError
from cnnsvc.manifest import Artifact
from tests.bundles import manifest_of, write_bundle
from tests.encoded import encode
from tests.fakes import FunctionEngine


def scores(*rows: list[float]) -> Scores:
    return np.array(rows, np.float32)


ROWS = scores([0.7, 0.2, 0.1], [0.1, 0.1, 0.8])


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Two golden images with the answers ROWS."""
    write_golden(tmp_path, [("0.png", encode("PNG", seed=0)), ("1.png", encode("PNG", seed=1))], {"model.onnx": ROWS})
    files = {f"{GOLDEN_DIR}/{name}": "" for name in ("answers.json", "0.png", "1.png")}
    return Bundle(tmp_path, msgspec.structs.replace(manifest_of(), files=files))


def answering(rows: Scores) -> FunctionEngine:
    """An engine that gives one row after the other, whatever it is shown."""
    remaining = iter(rows)
    return FunctionEngine(lambda images_nhwc: np.array([next(remaining) for _ in images_nhwc], np.float32))


def test_what_was_written_is_read(bundle: Bundle) -> None:
    """Names, files and scores survive the way to disk and back."""
    golden = read_golden(bundle.path)
    assert golden.images == ["0.png", "1.png"]
    np.testing.assert_array_equal(np.asarray(golden.scores["model.onnx"], np.float32), ROWS)
    assert (bundle.path / GOLDEN_DIR / "1.png").read_bytes() == encode("PNG", seed=1)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_engines_give_the_golden_answers(name: str, tmp_path: Path) -> None:
    """A sound bundle passes in either engine, decoding included."""
    bundle = open_bundle(write_bundle(tmp_path))
    check_golden(bundle, load_engine(name, bundle, "model.onnx", num_threads=1))


def test_the_engine_sees_the_pixels_of_the_files(bundle: Bundle) -> None:
    """Images reach the engine as uint8 of the manifest's size, one at a time."""
    shapes: list[tuple[int, ...]] = []
    remaining = iter(ROWS)

    def answer(images_nhwc: Images) -> Scores:
        shapes.append((*images_nhwc.shape, images_nhwc.dtype.itemsize))
        return np.array([next(remaining)], np.float32)

    check_golden(bundle, FunctionEngine(answer))
    assert shapes == [(1, 24, 32, 3, 1)] * 2


@pytest.mark.parametrize(("shift", "is_right"), [(0.0009, True), (0.0011, False)])
def test_the_tolerance_of_float_artifacts(bundle: Bundle, shift: float, is_right: bool) -> None:
    """A probability may be off by 1e-3 and no more."""
    engine = answering(ROWS + scores([shift, -shift, 0]))
    if is_right:
        check_golden(bundle, engine)
    else:
        with pytest.raises(BundleError, match=r"2 of 2 golden images wrong with model\.onnx; 0\.png: .* within 0\.001"):
            check_golden(bundle, engine)


@pytest.mark.parametrize(("shift", "is_right"), [(0.049, True), (0.051, False)])
def test_the_tolerance_of_other_artifacts(bundle: Bundle, shift: float, is_right: bool) -> None:
    """A probability of an INT8 artifact may be off by 0.05 and no more."""
    artifacts = {"model.onnx": Artifact("int8", 2, 1.0, 1.0, 0.0)}
    bundle = Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, artifacts=artifacts))
    engine = answering(ROWS + scores([shift, -shift, 0]))
    if is_right:
        check_golden(bundle, engine)
    else:
        with pytest.raises(BundleError, match=r"within 0\.05"):
            check_golden(bundle, engine)


@pytest.mark.parametrize(
    ("expected", "found", "wrong"),
    [
        ([0.5004, 0.4996], [0.4998, 0.5002], []),  # nearly tied: either class is right
        ([0.52, 0.48], [0.48, 0.52], [0]),  # another class, and off by more than the tolerance
        ([0.9, 0.1], [0.9, 0.1], []),
        ([0.9, 0.1], [np.nan, 0.1], [0]),
        ([0.9, 0.1], [np.inf, 0.1], [0]),
    ],
)
def test_right_and_wrong_rows(expected: list[float], found: list[float], wrong: list[int]) -> None:
    """The best class counts unless its margin is inside the tolerance; what is not finite is always wrong."""
    assert disagreements(scores(expected), scores(found), 1e-3) == wrong


def test_the_best_class_counts_beyond_the_margin() -> None:
    """With a wide tolerance another best class is wrong although every probability is inside it."""
    assert disagreements(scores([0.53, 0.47]), scores([0.49, 0.51]), 0.05) == [0]


def test_rows_of_another_shape_are_all_wrong() -> None:
    """An engine that answers for another number of classes is right nowhere."""
    assert disagreements(ROWS, ROWS[:, :2], 1e-3) == [0, 1]


def test_an_engine_that_fails(bundle: Bundle) -> None:
    """The engine's own error passes through."""

    def fail(images_nhwc: Images) -> Scores:
        raise EngineError("out of memory")

    with pytest.raises(EngineError, match="out of memory"):
        check_golden(bundle, FunctionEngine(fail))


def test_an_artifact_without_answers(bundle: Bundle) -> None:
    """An artifact that golden/ knows nothing about is refused."""
    with pytest.raises(BundleError, match=r"0 golden answers for model\.int8\.onnx"):
        check_golden(bundle, FunctionEngine(lambda images_nhwc: ROWS, artifact="model.int8.onnx"))


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"images": [], "scores": {}}, "names no image"),
        ({"images": ["0.png"]}, "cannot be read"),
        ({"images": ["0.png"], "scores": {"model.onnx": []}}, "0 golden answers"),
        ({"images": ["0.png"], "scores": {"model.onnx": [[0.5, 0.5]]}}, "expected one of 3 scores"),
    ],
    ids=["no images", "no scores", "no rows", "two classes"],
)
def test_answers_that_do_not_fit(bundle: Bundle, answers: dict[str, object], message: str) -> None:
    """Incomplete answers refuse the bundle instead of passing for right ones."""
    (bundle.path / GOLDEN_DIR / "answers.json").write_text(json.dumps(answers))
    with pytest.raises(BundleError, match=message):
        check_golden(bundle, answering(ROWS))


def test_absent_answers(tmp_path: Path) -> None:
    """A bundle without golden/ is refused."""
    with pytest.raises(BundleError, match="cannot be read"):
        read_golden(tmp_path)
