"""Small bundles for tests of the serving side, written without TensorFlow in milliseconds."""

from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cnnsvc import bundle
from cnnsvc.engines.base import Scores
from cnnsvc.engines.golden import write_golden
from cnnsvc.engines.load import open_engine
from cnnsvc.manifest import MANIFEST_FORMAT, Artifact, Baseline, HonestScores, ImageShape, Manifest, Network
from cnnsvc.pixels import PIXELS_VERSION, Decoder, decoder
from tests.encoded import encode

CLASS_NAMES = ["daisy", "rose", "tulip"]
SHAPE = ImageShape(height=24, width=32, channels=3)


def write_bundle(
    models_dir: Path,
    name: str = "flowers",
    *,
    class_names: list[str] = CLASS_NAMES,
    shape: ImageShape = SHAPE,
    seed: int = 0,
    breaks_on_white: bool = False,
    pixels: int = PIXELS_VERSION,
    threshold: float | None = None,
) -> Path:
    """The next version of a model: one dense layer over the channel means of 4 x 4 tiles, with golden answers."""
    with bundle.staging(models_dir / name) as folder:
        model_path = folder / "model.onnx"
        model = dense_model(shape, len(class_names), seed)
        if breaks_on_white:
            _break_on_white(model)
        onnx.save(model, model_path)
        images = [(f"{index}.png", encode("PNG", seed=index)) for index in range(3)]
        scores_nk = _scores(model_path, [data for _, data in images], shape, decoder(pixels))
        write_golden(folder, images, {"model.onnx": scores_nk})
        manifest = manifest_of(name, class_names, shape)
        scores = None if threshold is None else honest_scores(threshold)
        return bundle.publish(folder, msgspec.structs.replace(manifest, pixels=pixels, scores=scores))


def honest_scores(threshold: float | None) -> HonestScores:
    return HonestScores(
        temperature=1.5,
        threshold=threshold,
        num_images=100,
        expected_calibration_error_before=0.12,
        expected_calibration_error_after=0.05,
        share_answered=0.9,
        accuracy_of_answered=0.95,
    )


def threshold_between(bundle_path: Path, images: list[bytes]) -> float:
    """Of a bundle without one, by which at least one of the images is rejected and at least one is not."""
    shape, version = SHAPE, PIXELS_VERSION
    scores_nk = _scores(bundle_path / "model.onnx", images, shape, decoder(version))
    best = sorted(scores_nk.max(axis=1).tolist())
    assert best[0] < best[-1]
    return float((best[0] + best[-1]) / 2)


def manifest_of(name: str = "flowers", class_names: list[str] = CLASS_NAMES, shape: ImageShape = SHAPE) -> Manifest:
    return Manifest(
        format=MANIFEST_FORMAT,
        name=name,
        version=1,
        created="2026-01-02T03:04:05Z",
        class_names=class_names,
        image=shape,
        pixels=PIXELS_VERSION,
        network=Network("custom", "C: 4 D:", 100),
        artifacts={"model.onnx": Artifact("float32", 3, 1.0, 1.0, 0.0)},
        files={},
        training={"seed": 100},
        baseline=Baseline(
            [1 / len(class_names)] * len(class_names), [16] * 10, [128.0] * shape.channels, [[10] * 16] * shape.channels
        ),
    )


def dense_model(shape: ImageShape, num_classes: int, seed: int) -> onnx.ModelProto:
    """image, uint8 (N, H, W, C), to probabilities, float32 (N, K)."""
    random = np.random.default_rng(seed)
    num_features = (shape.height // 4) * (shape.width // 4) * shape.channels
    weights = random.normal(0, 0.05, (num_features, num_classes)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["nchw"], ["tiles"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["tiles"], ["features"]),
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", shape.height, shape.width, shape.channels])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", num_classes])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def _break_on_white(model: onnx.ModelProto) -> None:
    """ONNX Runtime fails on images of nothing but 255, where the scores get a shape that does not fit them."""
    graph = model.graph
    graph.node[-1].output[0] = "scores"
    graph.node.extend(
        [
            helper.make_node("ReduceMin", ["float"], ["darkest"], keepdims=0),
            helper.make_node("Div", ["darkest", "white"], ["whiteness"]),
            helper.make_node("Floor", ["whiteness"], ["is_white"]),
            helper.make_node("Cast", ["is_white"], ["num_missing"], to=TensorProto.INT64),
            helper.make_node("Add", ["shape", "num_missing"], ["wanted_shape"]),
            helper.make_node("Reshape", ["scores", "wanted_shape"], ["probabilities"]),
        ]
    )
    num_classes = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    graph.initializer.append(numpy_helper.from_array(np.array(255, np.float32), "white"))
    graph.initializer.append(numpy_helper.from_array(np.array([-1, num_classes], np.int64), "shape"))


def _scores(model_path: Path, images: list[bytes], shape: ImageShape, decode: Decoder) -> Scores:
    engine = open_engine("openvino", model_path, num_threads=1)
    try:
        return np.concatenate(
            [engine.run(decode(image, shape.height, shape.width, shape.channels)[None]) for image in images]
        )
    finally:
        engine.close()
