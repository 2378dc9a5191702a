"""The folded layers compute what the trained network does, with nothing left that could be folded."""

from typing import Any

import numpy as np
import pytest

from cnnsvc.errors import ExportError
from cnnsvc.manifest import ImageShape
from training.notation import parse

pytestmark = pytest.mark.slow

EVERY_SIGN = "C: 4k5v 4nv p3 3k2 d¼ 5k4n | 5 D: 6nRL2 d½ 7L2 8R 9n"


def network_with_history(notation: str, image: ImageShape, *, seed: int = 0) -> Any:
    """Random weights, and batch norms as if they had seen data."""
    from training.network import build_network

    network = build_network(parse(notation), image, 3, seed=seed)
    random = np.random.default_rng(seed)
    for weight in network.weights:
        if any(word in weight.path for word in ("gamma", "variance")):
            weight.assign(random.uniform(0.5, 2, weight.shape))
        elif any(word in weight.path for word in ("beta", "mean", "bias")):
            weight.assign(random.normal(0, 0.2, weight.shape))
    return network


@pytest.mark.parametrize(
    ("notation", "image"),
    [
        (EVERY_SIGN, ImageShape(40, 33, 1)),
        ("C: 4n 4nv d¼ 8n 8nv d¼ D: 16R", ImageShape(24, 20, 3)),
        ("C: 4 D:", ImageShape(8, 8, 3)),
    ],
    ids=["every sign", "like 26", "no dense layer"],
)
def test_folded_layers_compute_the_same(notation: str, image: ImageShape) -> None:
    """A graph of them that rounds nothing gives the network's own probabilities."""
    import onnxruntime

    from training.export.folding import fold
    from training.export.inference_graph import inference_model

    network = network_with_history(notation, image)
    images = np.random.default_rng(1).integers(0, 256, (5, image.height, image.width, image.channels), dtype=np.uint8)
    model = inference_model(fold(network), image)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": images})
    np.testing.assert_allclose(found, network(images.astype(np.float32), training=False), atol=2e-6)
    kinds = {node.op_type for node in model.graph.node}
    assert kinds <= {"Cast", "Transpose", "Conv", "Relu", "MaxPool", "Flatten", "MatMul", "Add", "Softmax"}


def test_what_cannot_be_folded_is_named() -> None:
    """A batch norm behind a ReLU and a layer of another kind are refused by name."""
    import keras
    from keras import layers

    from tests.training.export.networks import tiny_network
    from training.export.folding import fold

    with pytest.raises(ExportError, match=r"batch_normalization.* does not stand right behind the weights"):
        fold(tiny_network(has_norm_behind_relu=True))
    with pytest.raises(ExportError, match=r"\(AveragePooling2D\) cannot be folded"):
        fold(keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3), layers.AveragePooling2D(2)]))
