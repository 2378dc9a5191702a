"""What KServe's clients get of a server, over REST and gRPC, printed as JSON.

It runs where kserve is installed and nothing of ours:
python -P kserve.py HTTP_URL GRPC_ADDRESS IMAGE_FILE PIXELS.npy
"""

import asyncio
import json
import logging
import sys
from pathlib import Path

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

INPUT, OUTPUT, MODEL = "image", "probabilities", "flowers"


async def main(http_url: str, grpc_address: str, image: bytes, pixels) -> None:
    logging.disable()  # it logs a traceback of each call that is refused
    rest, rpc = InferenceRESTClient(RESTConfig(protocol="v2")), InferenceGRPCClient(grpc_address)
    json.dump(
        {"http": await over_rest(rest, http_url, image, pixels), "grpc": await over_grpc(rpc, image, pixels)},
        sys.stdout,
    )
    await rest.close()
    await rpc.close()


async def over_rest(client, url, image, pixels):
    async def rows(request):
        response = await client.infer(url, request, model_name=MODEL)
        return answered(response)

    try:
        await client.infer(url, binary(pixels), model_name="roses")
        refused = "was not refused"
    except httpx.HTTPStatusError as error:
        refused = [error.response.status_code, str(error)]
    return {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model_ready": await client.is_model_ready(url, MODEL),
        "other_model_ready": await client.is_model_ready(url, "roses"),
        "json": await rows(in_json(pixels)),
        "binary": await rows(binary(pixels)),
        "encoded": await rows(binary(np.array([image], np.object_))),
        "binary_output": await rows(binary(pixels, [RequestedOutput(OUTPUT, {"binary_data": True})])),
        "refused": refused,
    }


async def over_grpc(client, image, pixels):
    async def rows(request):
        return answered(await client.infer(request))

    try:
        await client.infer(binary(pixels[:, :2]))
        refused = "was not refused"
    except grpc.RpcError as error:
        refused = [error.code().name, error.details()]
    return {
        "live": await client.is_server_live(),
        "ready": await client.is_server_ready(),
        "model_ready": await client.is_model_ready(MODEL),
        "typed": await rows(in_json(pixels)),
        "binary": await rows(binary(pixels)),
        "encoded": await rows(binary(np.array([image], np.object_))),
        "refused": refused,
    }


def in_json(pixels):
    """Over gRPC the same are typed contents."""
    return InferRequest(MODEL, [InferInput(INPUT, list(pixels.shape), "UINT8", data=pixels.ravel().tolist())])


def binary(values, outputs=None):
    tensor = InferInput(INPUT, list(values.shape), "BYTES" if values.dtype == np.object_ else "UINT8")
    tensor.set_data_from_numpy(values)
    return InferRequest(MODEL, [tensor], request_outputs=outputs)


def answered(response):
    """float32, which JSON's doubles hold exactly."""
    (output,) = response.outputs
    assert (response.model_name, output.name) == (MODEL, OUTPUT)
    scores = output.as_numpy()
    assert scores.dtype == np.float32
    return scores.tolist()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3], Path(sys.argv[3]).read_bytes(), np.load(sys.argv[4])))
