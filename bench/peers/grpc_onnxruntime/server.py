"""grpc.aio with ONNX Runtime, speaking cnnsvc's own protocol so that one client asks both."""

import asyncio
import io
import json
import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import onnxruntime
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # for the generated stubs alone
from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.pb import classifier_pb2_grpc as pb_grpc


class Classifier(pb_grpc.ClassifierServicer):
    def __init__(self, bundle: Path, num_threads: int) -> None:
        manifest = json.loads((bundle / "manifest.json").read_text())
        self.class_names = manifest["class_names"]
        self.size = manifest["image"]["width"], manifest["image"]["height"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        self.session = onnxruntime.InferenceSession(bundle / "model.onnx", options, providers=["CPUExecutionProvider"])
        self.input_name = self.session.get_inputs()[0].name
        self.pool = ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // num_threads))

    async def Classify(self, request: pb.ClassifyRequest, context: object) -> pb.ClassifyResponse:  # noqa: N802 (gRPC's)
        loop = asyncio.get_running_loop()
        results = [await loop.run_in_executor(self.pool, self.classify, image) for image in request.images]
        return pb.ClassifyResponse(results=results)

    def classify(self, photograph: bytes) -> pb.Result:
        image = Image.open(io.BytesIO(photograph)).convert("RGB").resize(self.size)
        scores = self.session.run(None, {self.input_name: np.asarray(image)[None]})[0][0]
        best = int(scores.argmax())
        return pb.Result(classes=[pb.ScoredClass(name=self.class_names[best], score=scores[best])])


async def serve() -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 1), ("grpc.max_receive_message_length", 32 * 1024 * 1024)])
    pb_grpc.add_ClassifierServicer_to_server(
        Classifier(Path(os.environ["BUNDLE"]), int(os.environ["NUM_THREADS"])), server
    )
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    await server.start()
    await server.wait_for_termination()


def main() -> None:
    workers = [
        multiprocessing.Process(target=lambda: asyncio.run(serve())) for _ in range(int(os.environ["NUM_WORKERS"]))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
