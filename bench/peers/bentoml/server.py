"""BentoML with ONNX Runtime."""

import json
import os
from pathlib import Path

import bentoml
import numpy as np
import onnxruntime
from PIL.Image import Image


@bentoml.service(
    workers=int(os.environ["NUM_WORKERS"]),
    threads=int(os.environ["NUM_POOL_THREADS"]),
    logging={"access": {"enabled": False}},
)
class Classifier:
    def __init__(self) -> None:
        bundle = Path(os.environ["BUNDLE"])
        manifest = json.loads((bundle / "manifest.json").read_text())
        self.class_names = manifest["class_names"]
        self.size = manifest["image"]["width"], manifest["image"]["height"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["NUM_THREADS"])
        self.session = onnxruntime.InferenceSession(bundle / "model.onnx", options, providers=["CPUExecutionProvider"])
        self.input_name = self.session.get_inputs()[0].name

    @bentoml.api
    def classify(self, photograph: Image, /) -> dict[str, str | float]:
        """One positional-only argument is BentoML's root input: the body is the photograph, with no form around it."""
        image = photograph.convert("RGB").resize(self.size)
        scores = self.session.run(None, {self.input_name: np.asarray(image)[None]})[0][0]
        best = int(scores.argmax())
        return {"class": self.class_names[best], "score": float(scores[best])}
