"""FastAPI with the SavedModel in TensorFlow."""

import io
import json
import os
from pathlib import Path
from typing import Annotated

import numpy as np
import tensorflow as tf
from fastapi import Body, FastAPI
from PIL import Image

bundle = Path(os.environ["BUNDLE"])
manifest = json.loads((bundle / "manifest.json").read_text())
size = manifest["image"]["width"], manifest["image"]["height"]

tf.config.threading.set_intra_op_parallelism_threads(int(os.environ["NUM_THREADS"]))
tf.config.threading.set_inter_op_parallelism_threads(int(os.environ["NUM_THREADS"]))
model = tf.saved_model.load(str(bundle))
predict = model.signatures["serving_default"]
(input_name,) = predict.structured_input_signature[1]

app = FastAPI()


@app.post("/classify")
def classify(photograph: Annotated[bytes, Body(media_type="image/jpeg")]) -> dict[str, str | float]:
    """Runs in FastAPI's pool of threads, so that decoding and inference do not hold up the event loop."""
    image = Image.open(io.BytesIO(photograph)).convert("RGB").resize(size)
    (scores_nk,) = predict(**{input_name: tf.constant(np.asarray(image)[None])}).values()
    scores = scores_nk.numpy()[0]
    best = int(scores.argmax())
    return {"class": manifest["class_names"][best], "score": float(scores[best])}
