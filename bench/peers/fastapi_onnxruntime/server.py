"""FastAPI with ONNX Runtime."""

import io
import json
import os
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime
from fastapi import Body, FastAPI
from PIL import Image

bundle = Path(os.environ["BUNDLE"])
manifest = json.loads((bundle / "manifest.json").read_text())
size = manifest["image"]["width"], manifest["image"]["height"]

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(os.environ["NUM_THREADS"])
session = onnxruntime.InferenceSession(bundle / "model.onnx", options, providers=["CPUExecutionProvider"])
input_name = session.get_inputs()[0].name

app = FastAPI()


@app.post("/classify")
def classify(photograph: Annotated[bytes, Body(media_type="image/jpeg")]) -> dict[str, str | float]:
    """Runs in FastAPI's pool of threads, so that decoding and inference do not hold up the event loop."""
    image = Image.open(io.BytesIO(photograph)).convert("RGB").resize(size)
    scores = session.run(None, {input_name: np.asarray(image)[None]})[0][0]
    best = int(scores.argmax())
    return {"class": manifest["class_names"][best], "score": float(scores[best])}
