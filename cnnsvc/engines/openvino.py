"""The OpenVINO engine: the fastest one on CPUs, one inference request a thread, one image an inference.

Batches gain nothing on a CPU, whose cores are kept busy by streams; with a fixed batch of one the graph loses its
transposes and its shape arithmetic (network 26 in INT8: 1.29 ms of CPU an image with a free batch, 1.20 with one).
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from cnnsvc.engines.base import Images, Scores, check_images, check_scores
from cnnsvc.engines.runtimes import import_openvino
from cnnsvc.errors import EngineError, UnsupportedError

_CONFIG: Final = {
    # Pinned threads of two processes share cores while others idle, and a container's quota is no set of cores.
    "ENABLE_CPU_PINNING": False,
}


@dataclass(frozen=True, slots=True)
class _Request:
    """An inference request with its own memory for one image, which costs less than handing over an array each time."""

    request: Any
    image_1hwc: Images


def has_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16. Raises UnsupportedError where OpenVINO is absent."""
    return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenvinoEngine:
    """An ONNX file compiled for this CPU, with as many one-thread streams as asked for."""

    name = "openvino"
    is_single = True

    def __init__(self, path: Path, *, num_threads: int, is_bfloat16: bool = False) -> None:
        """Raises UnsupportedError where OpenVINO is absent or the CPU has no bfloat16, EngineError for a bad file."""
        openvino = import_openvino()
        self.artifact = f"{path.name}@bfloat16" if is_bfloat16 else path.name
        self.num_streams = num_threads
        core = openvino.Core()
        if is_bfloat16 and not has_bfloat16():
            raise UnsupportedError("this CPU does not compute in bfloat16")
        config = {
            **_CONFIG,
            # Its own choice is bfloat16 where the CPU has it, which need not give the answers that training proved.
            "INFERENCE_PRECISION_HINT": "bf16" if is_bfloat16 else "f32",
            "NUM_STREAMS": num_threads,
            "INFERENCE_NUM_THREADS": num_threads,
        }
        try:
            model = core.read_model(str(path))
            self._image_hwc = tuple(size.get_length() for size in list(model.input(0).partial_shape)[1:])
            model.reshape([1, *self._image_hwc])
            self._compiled: Any = core.compile_model(model, "CPU", config)
        except Exception as error:  # the runtime documents no exception types
            raise EngineError(f"openvino cannot load {path}: {error}") from error
        self._requests = threading.local()

    def run(self, images_nhwc: Images) -> Scores:
        """Softmax scores, float32 (N, K), of uint8 (N, H, W, C). Raises EngineError."""
        check_images(images_nhwc, self._image_hwc)
        try:
            request = self._request()
            return np.concatenate([self._run_one(request, image_hwc) for image_hwc in images_nhwc])
        except Exception as error:  # the runtime documents no exception types
            raise EngineError(f"openvino failed on {self.artifact} with {images_nhwc.shape}: {error}") from error

    def close(self) -> None:
        """Frees the compiled network; a later run raises EngineError."""
        self._compiled = None
        self._requests = threading.local()

    def _run_one(self, request: _Request, image_hwc: Images) -> Scores:
        """Float32 (1, K) of uint8 (H, W, C)."""
        request.image_1hwc[0] = image_hwc
        request.request.infer(share_inputs=True)
        scores_1k: Scores = request.request.get_output_tensor(0).data
        check_scores(scores_1k, 1)
        return scores_1k.copy()

    def _request(self) -> _Request:
        if self._compiled is None:
            raise EngineError("the engine is closed")
        if not hasattr(self._requests, "request"):
            request = self._compiled.create_infer_request()
            self._requests.request = _Request(request, request.input_tensors[0].data)
        request = self._requests.request
        assert isinstance(request, _Request)
        return request
