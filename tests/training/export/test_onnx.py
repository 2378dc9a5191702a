"""The ONNX file as other programs see it."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from cnnsvc.engines.load import open_engine
from cnnsvc.engines.runtimes import import_onnxruntime
from cnnsvc.manifest import ImageShape
from tests.training.export.conftest import Exported
from tests.training.export.networks import SIZE, tiny_network
from training.export.onnx import write_onnx
from training.network import build_network
from training.notation import parse

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(exported: Exported) -> onnx.ModelProto:
    return onnx.load(exported.path / "model.onnx")


def test_a_sound_file(model: onnx.ModelProto) -> None:
    """onnx.checker finds nothing in its full check, and the operator set is one that every current engine reads."""
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import if not opset.domain] == [("", 17)]


def test_input_and_output(model: onnx.ModelProto) -> None:
    """One input, uint8 NHWC, one output, float32 probabilities, and the size of the batch is free in both."""
    found = [
        (value.name, value.type.tensor_type.elem_type, [dim.dim_param or dim.dim_value for dim in dims(value)])
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert found == [
        ("image", onnx.TensorProto.UINT8, ["N", SIZE, SIZE, 3]),
        ("probabilities", onnx.TensorProto.FLOAT, ["N", 3]),
    ]


def dims(value: onnx.ValueInfoProto) -> list[onnx.TensorShapeProto.Dimension]:
    return list(value.type.tensor_type.shape.dim)


def test_the_metadata(exported: Exported) -> None:
    """Class names, model name, pixels version and notation travel in the file, as ONNX Runtime reads it."""
    session = import_onnxruntime().InferenceSession(exported.path / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.get_modelmeta().custom_metadata_map
    assert json.loads(found.pop("class_names")) == exported.trained.class_names
    assert found == {"name": "shapes", "pixels": "2", "notation": exported.trained.notation}


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("channels", [1, 3])
def test_engines_answer_as_the_network(name: str, channels: int, tmp_path: Path) -> None:
    """Batch normalisation on either side of the ReLU, colour and grey: both engines are within 1e-6 of Keras."""
    network = tiny_network(channels)
    write_onnx(network, {}, ImageShape(SIZE, SIZE, channels), tmp_path / "model.onnx")
    images_nhwc = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, channels), dtype=np.uint8)
    expected = np.asarray(network(images_nhwc.astype(np.float32), training=False))
    engine = open_engine(name, tmp_path / "model.onnx", num_threads=1)
    np.testing.assert_allclose(engine.run(images_nhwc), expected, atol=1e-6)


def test_the_graph_is_lean(tmp_path: Path) -> None:
    """In our networks batch normalisation is in the convolutions' weights, and only the unavoidable turns remain."""
    image = ImageShape(SIZE, SIZE, 3)
    network = build_network(parse("C: 4n 4n d¼ 8n D: 8R"), image, 3, seed=1)
    random = np.random.default_rng(0)
    for weight in network.weights:
        if any(word in weight.path for word in ("mean", "beta", "gamma", "variance")):
            weight.assign(random.uniform(0.5, 2, weight.shape))
    write_onnx(network, {}, image, tmp_path / "model.onnx")
    operations = Counter(node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node)
    assert operations["Conv"] == operations["Relu"] - 1 == 3
    assert operations["Transpose"] == 2  # into the order of ONNX, and back before the dense layers
    assert operations["Mul"] == 2  # the division by 255, and the scale of the inputs of the first dense layer
    assert not operations.keys() & {"BatchNormalization", "Identity", "Dropout", "Sub", "Div"}
