"""FastAPI with cnnsvc's own INT8 model in OpenVINO and its choice of JPEG decoder: what is left is the server."""

import json
import os
import threading
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import openvino
import simplejpeg
from fastapi import Body, FastAPI

bundle = Path(os.environ["BUNDLE"])
manifest = json.loads((bundle / "manifest.json").read_text())
height, width = manifest["image"]["height"], manifest["image"]["width"]

num_streams = int(os.environ["NUM_THREADS"])
config = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": num_streams, "INFERENCE_NUM_THREADS": num_streams}
model = openvino.Core().compile_model(bundle / "model.int8.onnx", "CPU", config)
requests = threading.local()
cv2.setNumThreads(1)

app = FastAPI()


@app.post("/classify")
def classify(photograph: Annotated[bytes, Body(media_type="image/jpeg")]) -> dict[str, str | float]:
    """Runs in FastAPI's pool of threads, each with an inference request of its own."""
    if not hasattr(requests, "request"):
        requests.request = model.create_infer_request()
    image = simplejpeg.decode_jpeg(photograph, min_height=height, min_width=width)
    if image.shape[:2] != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    scores = requests.request.infer({0: np.ascontiguousarray(image)[None]})[0][0]
    best = int(scores.argmax())
    return {"class": manifest["class_names"][best], "score": float(scores[best])}
