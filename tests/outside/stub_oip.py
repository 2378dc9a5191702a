"""A server of Triton's own stubs, from tritonclient: `python stub_oip.py WEIGHTS.npy`, prints its port."""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from stub_network import scores  # type: ignore[import-not-found]  # beside this file, which runs by its path
from tritonclient.grpc import service_pb2, service_pb2_grpc  # type: ignore[import-not-found]  # in its environment

WEIGHTS = np.load(sys.argv[1])
SHAPE = 24, 32, 3


class Inference(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # without types
    def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        return service_pb2.ServerLiveResponse(live=True)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        response = service_pb2.ModelMetadataResponse(name=request.name, versions=[request.version])
        response.inputs.add(name="image", datatype="UINT8", shape=[-1, *SHAPE])
        response.outputs.add(name="probabilities", datatype="FP32", shape=[-1, 3])
        return response

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        (sent,), (raw,) = request.inputs, request.raw_input_contents
        assert sent.datatype == "UINT8"
        found = scores(np.frombuffer(raw, np.uint8).reshape(sent.shape), WEIGHTS)
        response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version=request.model_version)
        response.outputs.add(name="probabilities", datatype="FP32", shape=found.shape)
        response.raw_output_contents.append(found.tobytes())
        return response


server = grpc.server(ThreadPoolExecutor(4))
service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Inference(), server)
sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
sys.stdout.flush()
server.start()
server.wait_for_termination(120)
