"""What tritonclient gets of a server: each way to ask that it has, over HTTP and gRPC, printed as JSON.

It runs where tritonclient is installed and nothing of ours:
triton.py HTTP_ADDRESS GRPC_ADDRESS IMAGE_FILE... PIXELS.npy
"""

import json
import queue
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

INPUT, OUTPUT, REJECTED, MODEL = "image", "probabilities", "rejected", "flowers"


def main(http_address: str, grpc_address: str, *files: str) -> None:
    *image_files, pixels_file = files
    images = [Path(file).read_bytes() for file in image_files]
    pixels = np.load(pixels_file)
    with tritonclient.http.InferenceServerClient(http_address) as client:
        over_http = asked(tritonclient.http, client, images, pixels, json_options={}) | only_http(client, pixels)
    with tritonclient.grpc.InferenceServerClient(grpc_address) as client:
        over_grpc = asked(tritonclient.grpc, client, images, pixels, json_options={"as_json": True})
        over_grpc |= only_grpc(client, images, pixels)
    json.dump({"http": over_http, "grpc": over_grpc}, sys.stdout)


def asked(protocol, client, images, pixels, json_options):
    """All that both clients do alike."""
    outputs = [protocol.InferRequestedOutput(OUTPUT)]
    best = [protocol.InferRequestedOutput(OUTPUT, class_count=2)]
    encoded = tensor(protocol, np.array(images, np.object_))
    whole = client.infer(MODEL, [encoded], request_id="first", outputs=outputs)
    found = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready(MODEL),
        "version_ready": client.is_model_ready(MODEL, "1"),
        "server": client.get_server_metadata(**json_options),
        "metadata": client.get_model_metadata(MODEL, **json_options),
        "config": client.get_model_config(MODEL, **json_options),
        "index": client.get_model_repository_index(**json_options),
        "bytes": rows(whole),
        "answered": {
            name: whole.get_response(**json_options).get(name) for name in ("id", "model_name", "model_version")
        },
        "bytes_in_columns": rows(
            client.infer(MODEL, [tensor(protocol, np.array(images, np.object_).reshape(-1, 1))], outputs=outputs)
        ),
        "uint8": rows(client.infer(MODEL, [tensor(protocol, pixels)])),
        "fp32": rows(client.infer(MODEL, [tensor(protocol, pixels.astype(np.float32))])),
        "channels_first": rows(client.infer(MODEL, [tensor(protocol, pixels.transpose(0, 3, 1, 2))])),
        "version_1": rows(client.infer(MODEL, [encoded], model_version="1")),
        "classes": texts(client.infer(MODEL, [encoded], outputs=best)),
        "rejected": rejected(
            client.infer(MODEL, [encoded], outputs=[*outputs, protocol.InferRequestedOutput(REJECTED)])
        ),
        "timeout": refusal(lambda: client.infer(MODEL, [encoded], timeout=1)),
        "no_model": refusal(lambda: client.infer("roses", [encoded])),
        "no_output": refusal(lambda: client.infer(MODEL, [encoded], outputs=[protocol.InferRequestedOutput("x")])),
        "scaled": refusal(lambda: client.infer(MODEL, [tensor(protocol, (pixels / 255).astype(np.float32))])),
        "load": refusal(lambda: client.load_model(MODEL)),
        "unload": refusal(lambda: client.unload_model(MODEL)),
    }
    return found | {"statistics": client.get_inference_statistics(MODEL, "2", **json_options)}


def only_http(client, pixels):
    def infer(**options):
        return rows(client.infer(MODEL, [in_json], outputs=outputs, **options))

    protocol = tritonclient.http
    in_json = protocol.InferInput(INPUT, list(pixels.shape), "UINT8")
    in_json.set_data_from_numpy(pixels, binary_data=False)
    outputs = [protocol.InferRequestedOutput(OUTPUT, binary_data=False)]
    best = [protocol.InferRequestedOutput(OUTPUT, binary_data=False, class_count=2)]
    return {
        "json": infer(),
        "gzip": infer(request_compression_algorithm="gzip", response_compression_algorithm="gzip"),
        "deflate": infer(request_compression_algorithm="deflate", response_compression_algorithm="deflate"),
        "gzip_binary": rows(client.infer(MODEL, [tensor(protocol, pixels)], request_compression_algorithm="gzip")),
        "classes_in_json": texts(client.infer(MODEL, [in_json], outputs=best)),
        "async": rows(client.async_infer(MODEL, [tensor(protocol, pixels)]).get_result()),
    }


def only_grpc(client, images, pixels):
    protocol = tritonclient.grpc
    later = queue.Queue()
    client.async_infer(MODEL, [tensor(protocol, pixels)], lambda result, error: later.put(error or result))
    return {
        "gzip": rows(client.infer(MODEL, [tensor(protocol, pixels)], compression_algorithm="gzip")),
        "async": rows(later.get(timeout=30)),
        "stream": streamed(client, [np.array([image], np.object_) for image in images]),
    }


def streamed(client, requests):
    """An answer each, in their order; the last of them is no image, and has an error."""
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put(error or result))
    for number, values in enumerate([*requests, np.array([b"no image"], np.object_)]):
        client.async_stream_infer(MODEL, [tensor(tritonclient.grpc, values)], request_id=str(number))
    found = [answers.get(timeout=30) for _ in range(len(requests) + 1)]
    client.stop_stream()
    return {
        "ids": [answer.get_response().id for answer in found[:-1]],
        "rows": [row for answer in found[:-1] for row in rows(answer)],
        "error": str(found[-1]),
    }


def tensor(protocol, values):
    datatype = {"uint8": "UINT8", "float32": "FP32", "object": "BYTES"}[str(values.dtype)]
    found = protocol.InferInput(INPUT, list(values.shape), datatype)
    found.set_data_from_numpy(values)
    return found


def rows(result):
    """float32, which JSON's doubles hold exactly."""
    scores = result.as_numpy(OUTPUT)
    assert scores.dtype == np.float32
    return scores.tolist()


def rejected(result):
    """One truth value an image, with the scores that came beside them."""
    found = result.as_numpy(REJECTED)
    assert found.dtype == np.bool_
    return {"rejected": found.tolist(), "rows": rows(result)}


def texts(result):
    return [[text.decode() if isinstance(text, bytes) else text for text in row] for row in result.as_numpy(OUTPUT)]


def refusal(ask):
    try:
        ask()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return "was not refused"


if __name__ == "__main__":
    main(*sys.argv[1:])
