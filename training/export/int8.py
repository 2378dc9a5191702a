"""The INT8 file: which layers go to eight bits, and the ways in which that is tried."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx

from cnnsvc.manifest import ImageShape
from training.export.folding import FoldedConvolution, FoldedDense, FoldedLayer, FoldedPooling
from training.export.inference_graph import Rounding, inference_model
from training.export.moments import LayerInput

INT8_NAME: Final = "model.int8.onnx"


@dataclass(frozen=True)
class Recipe:
    """One way to quantise."""

    is_clipped: bool
    """Whether rare high activations are clipped, so that the others get finer steps."""
    has_float_ends: bool = False
    """Whether the first and the last layer with weights stay in float."""

    def __str__(self) -> str:
        clipping = "activations clipped" if self.is_clipped else "activations in full range"
        return f"{clipping}, first and last layer in float" if self.has_float_ends else clipping


RECIPES: Final = (Recipe(is_clipped=True), Recipe(is_clipped=False), Recipe(is_clipped=True, has_float_ends=True))
"""All are tried; which of them is published is for the proof."""


def weighted(layers: list[FoldedLayer]) -> list[FoldedConvolution | FoldedDense]:
    """Those that calibration must look at: all but the poolings."""
    return [layer for layer in layers if not isinstance(layer, FoldedPooling)]


def write_int8(
    layers: list[FoldedLayer],
    inputs: list[LayerInput],
    recipe: Recipe,
    metadata: dict[str, str],
    image: ImageShape,
    path: Path,
) -> None:
    """Writes the file; `inputs` are what calibration found for each of `weighted(layers)`."""
    places = [place for place, layer in enumerate(layers) if not isinstance(layer, FoldedPooling)]
    found = {place: Rounding(entering, recipe.is_clipped) for place, entering in zip(places, inputs, strict=True)}
    left_in_float = {places[0], places[-1]} if recipe.has_float_ends else set()
    # Of the dense layers only the first, which has nearly all weights; those behind it cost nothing.
    first_dense = next(place for place in places if isinstance(layers[place], FoldedDense))
    rounding = {place: it for place, it in found.items() if place <= first_dense and place not in left_in_float}
    model = inference_model(layers, image, rounding)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, str(path))
