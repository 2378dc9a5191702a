"""Shapes and parameter counts: the article's own figures, and errors where an image is too small."""

import pytest

from cnnsvc.errors import InvalidError
from cnnsvc.manifest import ImageShape
from training.catalogue import CATALOGUE
from training.notation import parse
from training.shapes import NetworkShape, measure


def _measured(name: str, num_classes: int) -> NetworkShape:
    network = CATALOGUE[name]
    return measure(network.architecture, ImageShape(network.image_size, network.image_size, 3), num_classes)


def _parameters(shape: NetworkShape) -> dict[str, int]:
    return {layer.name: layer.num_parameters for layer in shape.layers}


def test_network_26_has_the_article_s_figures() -> None:
    """26 at 180×180 with 9 classes: every figure of the article's model summary, 963k in all."""
    shape = _measured("26", 9)
    parameters = _parameters(shape)
    assert [parameters[f"convolution_{n}"] for n in (1, 2, 3, 4)] == [448, 2_320, 4_640, 9_248]
    assert shape.num_flat == 59_168 == 43 * 43 * 32
    assert parameters["dense_1"] == 946_704
    assert parameters["probabilities"] == 153
    assert shape.num_parameters // 1000 == 963


def test_network_28_has_the_article_s_figures() -> None:
    """28 at 180×180 with 9 classes: 473,352 parameters in the first dense layer, 490k in all."""
    shape = _measured("28", 9)
    assert _parameters(shape)["dense_1"] == 473_352
    assert shape.num_parameters // 1000 == 490


def test_figure_flattens_to_80_000() -> None:
    """The drawing's last pooling leaves 25×25×128 = 80,000 values."""
    shape = _measured("figure", 10)
    assert {layer.name: layer.output for layer in shape.layers}["pooling_3"] == (25, 25, 128)
    assert shape.num_flat == 80_000


def test_batch_norm_is_half_frozen() -> None:
    """A batch norm has four parameters a filter or node, two of them trainable."""
    shape = measure(parse("C: 4n D: 5nR"), ImageShape(8, 8, 1), 2)
    assert (shape.num_parameters - shape.num_trainable) == shape.num_frozen == 2 * 4 + 2 * 5
    assert _parameters(shape)["dense_1_batch_norm"] == 4 * 5


def test_flatten_precedes_the_output_without_dense_layers() -> None:
    """With an empty D the probabilities come straight from the flattened image."""
    shape = measure(parse("C: 4 p3 D:"), ImageShape(11, 7, 1), 2)
    assert [(layer.name, layer.output) for layer in shape.layers] == [
        ("convolution_1", (11, 7, 4)),
        ("pooling_1", (3, 2, 4)),
        ("flatten", (24,)),
        ("probabilities", (2,)),
    ]


@pytest.mark.parametrize(
    ("notation", "message"),
    [
        ("C: 4 | 4 | 4 | 4", r"pooling_4 'p2' takes 2 x 2 pixels, but 1 x 2 are left"),
        ("C: 4 4 p4 4k3v", r"convolution_3 '4v' takes 3 x 3 pixels, but 2 x 5 are left"),
        ("C: 4 p16", r"pooling_1 'p16' takes 16 x 16 pixels, but 9 x 20 are left"),
    ],
)
def test_vanishing_image_names_the_layer(notation: str, message: str) -> None:
    """Where nothing is left of the image, the error names the layer and what reaches it."""
    with pytest.raises(InvalidError, match=message):
        measure(parse(notation), ImageShape(9, 20, 3), 2)


def test_image_may_end_as_one_pixel() -> None:
    """An unpadded convolution as large as what is left of the image leaves one pixel."""
    assert measure(parse("C: 4k3v 4k2v"), ImageShape(5, 5, 3), 2).num_flat == 4


@pytest.mark.parametrize("image", [ImageShape(0, 8, 3), ImageShape(8, -1, 3), ImageShape(8, 8, 0)])
def test_empty_image_is_refused(image: ImageShape) -> None:
    """An image without pixels is an error before any layer."""
    with pytest.raises(InvalidError, match="is empty"):
        measure(parse("C: 4"), image, 2)


def test_one_class_is_refused() -> None:
    """A network tells at least two classes apart."""
    with pytest.raises(InvalidError, match="1 classes"):
        measure(parse("C: 4"), ImageShape(8, 8, 3), 1)
