"""Both local engines, held to the same promises."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cnnsvc.engines.base import Engine, Images, Scores
from cnnsvc.engines.load import open_engine
from cnnsvc.errors import EngineError
from cnnsvc.manifest import ImageShape
from tests.bundles import dense_model

SHAPE = ImageShape(height=8, width=12, channels=3)
NUM_CLASSES = 4


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(dense_model(SHAPE, NUM_CLASSES, seed=1), path)
    return path


@pytest.fixture(params=["openvino", "onnxruntime"])
def engine(request: pytest.FixtureRequest, model_path: Path) -> Engine:
    return open_engine(request.param, model_path, num_threads=2)


def random_images(num_images: int, seed: int = 0) -> Images:
    shape = (num_images, SHAPE.height, SHAPE.width, SHAPE.channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def expected_scores(model_path: Path, images_nhwc: Images) -> Scores:
    """The dense model in numpy and double precision."""
    (weights,) = onnx.load(model_path).graph.initializer
    num_images = len(images_nhwc)
    tiles = images_nhwc.reshape(num_images, SHAPE.height // 4, 4, SHAPE.width // 4, 4, SHAPE.channels).mean(axis=(2, 4))
    logits = tiles.transpose(0, 3, 1, 2).reshape(num_images, -1) @ numpy_helper.to_array(weights).astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.array(powers / powers.sum(axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("num_images", [1, 2, 7])
def test_scores_in_full_precision(engine: Engine, model_path: Path, num_images: int) -> None:
    """Batches of any size get float32 (N, K) scores as exact as float32 products are."""
    images_nhwc = random_images(num_images)
    scores_nk = engine.run(images_nhwc)
    assert scores_nk.dtype == np.float32
    assert scores_nk.shape == (num_images, NUM_CLASSES)
    np.testing.assert_allclose(scores_nk, expected_scores(model_path, images_nhwc), atol=1e-5)


def test_an_engine_says_what_it_is(engine: Engine) -> None:
    """Name, artifact and number of streams are those it was opened with."""
    assert engine.name in ("openvino", "onnxruntime")
    assert engine.artifact == "model.onnx"
    assert engine.num_streams == 2


def test_answers_outlive_the_next_call(engine: Engine) -> None:
    """Scores that were handed out do not change when the same thread runs another batch."""
    first = engine.run(random_images(2, seed=1))
    kept = first.copy()
    engine.run(random_images(2, seed=2))
    np.testing.assert_array_equal(first, kept)


def test_images_need_not_be_contiguous(engine: Engine) -> None:
    """A view into a larger array gives the scores of its copy."""
    view = random_images(6)[::2, ::-1]
    np.testing.assert_array_equal(engine.run(view), engine.run(view.copy()))


def test_threads_do_not_mix_up_answers(engine: Engine) -> None:
    """Many threads at once get, each for its own images, the answers of a single one."""
    batches = [random_images(1 + seed % 3, seed) for seed in range(40)]
    alone = [engine.run(batch) for batch in batches]
    with ThreadPoolExecutor(max_workers=4) as threads:
        together = list(threads.map(engine.run, batches))
    for expected, found in zip(alone, together, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize(
    "images",
    [
        random_images(1).astype(np.float32),
        random_images(1)[0],
        random_images(1)[:, :-1],
        random_images(1)[..., :1],
        random_images(0),
    ],
    ids=["float32", "no batch", "too low", "grey", "none"],
)
def test_other_arrays_are_refused(engine: Engine, images: Images) -> None:
    """Anything but uint8 (N, H, W, C) of the model's size is an EngineError that says what was expected."""
    with pytest.raises(EngineError, match=r"expected uint8 \(N, 8, 12, 3\)"):
        engine.run(images)


def test_a_closed_engine_refuses(engine: Engine) -> None:
    """A run after close is an EngineError, and closing twice is none."""
    engine.run(random_images(1))
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(random_images(1))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("content", [None, b"", b"not a network"], ids=["absent", "empty", "garbage"])
def test_files_that_are_no_networks(name: str, content: bytes | None, tmp_path: Path) -> None:
    """A file that cannot be loaded is an EngineError that names engine and file."""
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=f"{name} cannot load .*model.onnx"):
        open_engine(name, path, num_threads=1)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("num_images", [1, 2])
def test_a_model_that_fails_at_work(name: str, num_images: int, tmp_path: Path) -> None:
    """Shapes that turn out not to fit are an EngineError, also where the runtime computes something all the same."""
    path = tmp_path / "model.onnx"
    onnx.save(failing_model(), path)
    engine = open_engine(name, path, num_threads=1)
    if name == "onnxruntime":  # OpenVINO takes the five one by one, so it fails on them too
        assert engine.run(random_images(5)).shape == (5, 3)
    with pytest.raises(EngineError):
        engine.run(random_images(num_images))


def test_convolutions_in_full_precision(tmp_path: Path) -> None:
    """Both engines agree to 1e-6 on convolutions; unless told, OpenVINO uses bfloat16 where the CPU can."""
    path = tmp_path / "model.onnx"
    onnx.save(convolution_model(), path)
    images_nhwc = random_images(4)
    openvino, onnxruntime = (open_engine(name, path, num_threads=1) for name in ("openvino", "onnxruntime"))
    np.testing.assert_allclose(openvino.run(images_nhwc), onnxruntime.run(images_nhwc), atol=1e-6)


def convolution_model() -> onnx.ModelProto:
    """Two convolutions and the mean of each of sixteen filters."""
    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "first"], ["filtered"]),
        helper.make_node("Relu", ["filtered"], ["positive"]),
        helper.make_node("Conv", ["positive", "second"], ["again"]),
        helper.make_node("ReduceMean", ["again"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Softmax", ["means"], ["probabilities"], axis=1),
    ]
    kernels = {name: random.normal(0, 0.3, (16, channels, 3, 3)) for name, channels in (("first", 3), ("second", 16))}
    constants = {"scale": np.array(1 / 255), **kernels}
    return model_of(nodes, constants, num_scores=16)


def failing_model() -> onnx.ModelProto:
    """Works for five images only, which shows when it computes."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["float", "five"], ["sum"]),
        helper.make_node("ReduceMean", ["sum"], ["probabilities"], axes=[1, 2], keepdims=0),
    ]
    return model_of(nodes, {"five": np.zeros((5, 1, 1, 1))}, num_scores=3)


def model_of(
    nodes: list[onnx.NodeProto], constants: dict[str, NDArray[np.float64]], *, num_scores: int
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SHAPE.height, SHAPE.width, SHAPE.channels])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", num_scores])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def test_openvino_has_one_core(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network brings a core of its own: with its end that would spoil the memory of the others."""
    import openvino

    made, make = [], openvino.Core

    def noted() -> object:
        made.append(make())
        return made[-1]

    monkeypatch.setattr(openvino, "Core", noted)
    for _ in range(3):
        open_engine("openvino", model_path, num_threads=1).close()
    assert len(made) <= 1
