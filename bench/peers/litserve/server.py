"""LitServe with ONNX Runtime."""

import base64
import io
import json
import os
from pathlib import Path
from typing import Any

import litserve
import numpy as np
import onnxruntime
from PIL import Image


class Classifier(litserve.LitAPI):
    def setup(self, device: str) -> None:
        bundle = Path(os.environ["BUNDLE"])
        manifest = json.loads((bundle / "manifest.json").read_text())
        self.class_names = manifest["class_names"]
        self.size = manifest["image"]["width"], manifest["image"]["height"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["NUM_THREADS"])
        self.session = onnxruntime.InferenceSession(bundle / "model.onnx", options, providers=["CPUExecutionProvider"])
        self.input_name = self.session.get_inputs()[0].name

    def decode_request(self, request: dict[str, str]) -> Any:
        photograph = base64.b64decode(request["image"])
        return np.asarray(Image.open(io.BytesIO(photograph)).convert("RGB").resize(self.size))

    def predict(self, image: Any) -> Any:
        return self.session.run(None, {self.input_name: image[None]})[0][0]

    def encode_response(self, scores: Any) -> dict[str, str | float]:
        best = int(scores.argmax())
        return {"class": self.class_names[best], "score": float(scores[best])}


if __name__ == "__main__":
    server = litserve.LitServer(
        Classifier(api_path="/classify"), accelerator="cpu", workers_per_device=int(os.environ["NUM_WORKERS"])
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=int(os.environ["NUM_API_SERVERS"]),
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
