"""Classifies images as Triton's own image client does: it knows nothing but what the server tells of its model.

It reads metadata and configuration, brings pixels into the declared type and format, sends them in batches, asks for
classes, takes "value:index:label" apart and prints that as JSON:
triton_images.py PROTOCOL ADDRESS NUM_CLASSES PIXELS.npy...
"""

import importlib
import json
import queue
import sys

import numpy as np
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import triton_to_np_dtype

BATCH_SIZE = 2


def main(protocol: str, address: str, num_classes: str, *files: str) -> None:
    """The protocol is http, grpc, or stream for the streams of gRPC."""
    module = importlib.import_module(f"tritonclient.{'http' if protocol == 'http' else 'grpc'}")
    with module.InferenceServerClient(address) as client:
        metadata, config = described(client, protocol)
        source, form, dtype = checked(metadata, config)
        images = [prepared(np.load(file), form, dtype, source["shape"]) for file in files]
        outputs = [module.InferRequestedOutput(metadata["outputs"][0]["name"], class_count=int(num_classes))]
        requests = []
        for begin in range(0, len(images), BATCH_SIZE):
            batch = np.stack(images[begin : begin + BATCH_SIZE])
            tensor = module.InferInput(source["name"], list(batch.shape), source["datatype"])
            tensor.set_data_from_numpy(batch)
            requests.append([tensor])
        infer = in_stream if protocol == "stream" else one_by_one
        results = infer(client, metadata["name"], requests, outputs)
    json.dump([parts(row) for result in results for row in result.as_numpy(metadata["outputs"][0]["name"])], sys.stdout)


def described(client, protocol):
    (model,) = {one["name"] for one in models_of(client, protocol)}
    if protocol == "http":
        return client.get_model_metadata(model), client.get_model_config(model)
    options = {"as_json": True}
    return client.get_model_metadata(model, **options), client.get_model_config(model, **options)["config"]


def models_of(client, protocol):
    if protocol == "http":
        return client.get_model_repository_index()
    return client.get_model_repository_index(as_json=True)["models"]


def checked(metadata, config):
    """The one input, its format and its type; all that the image client demands of a model."""
    (source,), (described_input,) = metadata["inputs"], config["input"]
    (target,), (_,) = metadata["outputs"], config["output"]
    assert target["datatype"] == "FP32"
    has_batches = int(config["max_batch_size"]) > 0
    assert len([size for size in target["shape"][has_batches:] if int(size) > 1]) == 1
    assert len(source["shape"]) == 3 + has_batches
    assert int(config["max_batch_size"]) >= BATCH_SIZE
    form = model_config_pb2.ModelInput.Format.Value(described_input["format"])
    assert form in (model_config_pb2.ModelInput.FORMAT_NHWC, model_config_pb2.ModelInput.FORMAT_NCHW)
    return source, form, triton_to_np_dtype(source["datatype"])


def prepared(pixels_hwc, form, dtype, shape):
    """Unscaled; a picture of another size would be resized here."""
    is_last = form == model_config_pb2.ModelInput.FORMAT_NHWC
    typed = pixels_hwc.astype(dtype) if is_last else pixels_hwc.transpose(2, 0, 1).astype(dtype)
    assert list(typed.shape) == [int(size) for size in shape[1:]]
    return typed


def one_by_one(client, model, requests, outputs):
    return [client.infer(model, tensors, outputs=outputs) for tensors in requests]


def in_stream(client, model, requests, outputs):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put(error or result))
    for number, tensors in enumerate(requests):
        client.async_stream_infer(model, tensors, outputs=outputs, request_id=str(number))
    found = [answers.get(timeout=30) for _ in requests]
    client.stop_stream()
    return found


def parts(row):
    """Score, index and label of each class, best first."""
    texts = [text.decode() if isinstance(text, bytes) else text for text in row]
    return [[float(score), int(index), label] for score, index, label in (text.split(":", 2) for text in texts)]


if __name__ == "__main__":
    main(*sys.argv[1:])
