"""The OpenVINO engine: the default on CPUs, one inference request a thread."""

import threading
from pathlib import Path
from typing import Any, Final

import numpy as np

from cnnsvc.engines.base import Images, Scores, check_images, check_scores
from cnnsvc.engines.runtimes import import_openvino
from cnnsvc.errors import EngineError

_CONFIG: Final = {
    # Its own choice is bfloat16 where the CPU has it, which would not give the answers that training proved.
    "INFERENCE_PRECISION_HINT": "f32",
    # Pinned threads of two processes share cores while others idle, and a container's quota is no set of cores.
    "ENABLE_CPU_PINNING": False,
}


class OpenvinoEngine:
    """An ONNX file compiled for this CPU, with as many one-thread streams as asked for."""

    name = "openvino"

    def __init__(self, path: Path, *, num_threads: int) -> None:
        """Raises UnsupportedError where OpenVINO is absent, EngineError where the file cannot be loaded."""
        openvino = import_openvino()
        self.artifact = path.name
        self.num_streams = num_threads
        config = {**_CONFIG, "NUM_STREAMS": num_threads, "INFERENCE_NUM_THREADS": num_threads}
        try:
            self._compiled: Any = openvino.Core().compile_model(str(path), "CPU", config)
            self._image_hwc = tuple(
                dimension.get_length() for dimension in list(self._compiled.input(0).partial_shape)[1:]
            )
        except Exception as error:  # the runtime documents no exception types
            raise EngineError(f"openvino cannot load {path}: {error}") from error
        self._requests = threading.local()

    def run(self, images_nhwc: Images) -> Scores:
        """Softmax scores, float32 (N, K), of uint8 (N, H, W, C). Raises EngineError."""
        check_images(images_nhwc, self._image_hwc)
        try:
            # Outputs are not shared, so the request's next run leaves them alone.
            scores: Scores = self._request().infer({0: np.ascontiguousarray(images_nhwc)}, share_inputs=True)[0]
        except Exception as error:  # the runtime documents no exception types
            raise EngineError(f"openvino failed on {self.artifact} with {images_nhwc.shape}: {error}") from error
        check_scores(scores, len(images_nhwc))
        return scores

    def close(self) -> None:
        """Frees the compiled network; a later run raises EngineError."""
        self._compiled = None
        self._requests = threading.local()

    def _request(self) -> Any:
        if self._compiled is None:
            raise EngineError("the engine is closed")
        if not hasattr(self._requests, "request"):
            self._requests.request = self._compiled.create_infer_request()
        return self._requests.request
