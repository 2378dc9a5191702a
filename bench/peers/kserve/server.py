"""The KServe model server with ONNX Runtime."""

import base64
import io
import json
import os
from pathlib import Path
from typing import Any

import kserve
import numpy as np
import onnxruntime
import uvicorn
from PIL import Image


class Classifier(kserve.Model):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.load()

    def load(self) -> bool:
        bundle = Path(os.environ["BUNDLE"])
        manifest = json.loads((bundle / "manifest.json").read_text())
        self.class_names = manifest["class_names"]
        self.size = manifest["image"]["width"], manifest["image"]["height"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["NUM_THREADS"])
        self.session = onnxruntime.InferenceSession(bundle / "model.onnx", options, providers=["CPUExecutionProvider"])
        self.input_name = self.session.get_inputs()[0].name
        self.ready = True
        return self.ready

    def __getstate__(self) -> dict[str, Any]:
        """More workers than one are sent the model, which a session cannot be."""
        return {key: value for key, value in self.__dict__.items() if key != "session"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.load()

    def predict(self, payload: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        return {"predictions": [self.classify(base64.b64decode(each["image"]["b64"])) for each in payload["instances"]]}

    def classify(self, photograph: bytes) -> dict[str, Any]:
        image = Image.open(io.BytesIO(photograph)).convert("RGB").resize(self.size)
        scores = self.session.run(None, {self.input_name: np.asarray(image)[None]})[0][0]
        best = int(scores.argmax())
        return {"class": self.class_names[best], "score": float(scores[best])}


class LoopbackConfig(uvicorn.Config):
    """KServe 0.21 has no setting for the address and listens on every one."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{**settings, "host": "127.0.0.1"})


uvicorn.Config = LoopbackConfig

if __name__ == "__main__":
    kserve.ModelServer(
        http_port=int(os.environ["PORT"]),
        workers=int(os.environ["NUM_WORKERS"]),
        enable_grpc=False,
        enable_latency_logging=False,
    ).start([Classifier("classifier")])
