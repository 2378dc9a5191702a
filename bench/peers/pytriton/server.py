"""NVIDIA PyTriton with ONNX Runtime."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

bundle = Path(os.environ["BUNDLE"])
manifest = json.loads((bundle / "manifest.json").read_text())
size = manifest["image"]["width"], manifest["image"]["height"]


class Classifier:
    """One instance is a process of its own."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["NUM_THREADS"])
        self.session = onnxruntime.InferenceSession(
            str(bundle / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.input_name = self.session.get_inputs()[0].name

    @batch
    def __call__(self, photograph: Any) -> dict[str, Any]:
        images = [Image.open(io.BytesIO(bytes(each))).convert("RGB").resize(size) for (each,) in photograph]
        scores_nk = self.session.run(None, {self.input_name: np.stack([np.asarray(image) for image in images])})[0]
        names = [[manifest["class_names"][best].encode()] for best in scores_nk.argmax(axis=1)]
        return {"class": np.array(names), "score": scores_nk.max(axis=1, keepdims=True)}


def main() -> None:
    port = int(os.environ["PORT"])
    config = TritonConfig(http_address="127.0.0.1", http_port=port, allow_grpc=False, allow_metrics=False)
    with Triton(config=config) as triton:
        triton.bind(
            model_name="classifier",
            infer_func=[Classifier() for _ in range(int(os.environ["NUM_WORKERS"]))],
            inputs=[Tensor(name="photograph", dtype=np.bytes_, shape=(1,))],
            outputs=[
                Tensor(name="class", dtype=np.bytes_, shape=(1,)),
                Tensor(name="score", dtype=np.float32, shape=(1,)),
            ],
            config=ModelConfig(max_batch_size=8, batcher=DynamicBatcher()),
        )
        triton.serve()


if __name__ == "__main__":
    main()
