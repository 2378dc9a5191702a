"""The OpenVINO engine: the fastest one on CPUs, one image an inference, computed in the thread that calls.

Batches gain nothing on a CPU, whose cores are kept busy by streams; with a fixed batch of one the graph loses its
transposes and its shape arithmetic (network 26 in INT8: 1.29 ms of CPU an image with a free batch, 1.20 with one).
Without threads of OpenVINO's own an inference costs no hand-over: a busy server answered 8 % more.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import numpy as np

from cnnsvc.engines.base import BFLOAT16, NEVER, Images, Scores, check_images, check_scores
from cnnsvc.engines.runtimes import import_openvino
from cnnsvc.errors import EngineError, UnsupportedError

_CONFIG: Final = {
    # None: the calling thread computes. It needs a compiled model for each, since one computes one inference at a time.
    "NUM_STREAMS": 0,
    "INFERENCE_NUM_THREADS": 1,
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
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _core() -> Any:
    """The one of the process. Raises UnsupportedError where OpenVINO is absent."""
    return _core_of(import_openvino())


@functools.cache
def _core_of(openvino: Any) -> Any:
    """Made once and never ended.

    With one for each network, the end of one of them spoils memory that the others use: a server that loaded and
    unloaded networks under load ended with a corrupted heap after some tens of them (2026.4).
    """
    return openvino.Core()


class OpenvinoEngine:
    """An ONNX file compiled for this CPU, as many times as inferences run at once."""

    name = "openvino"
    trouble = ""
    is_single = True

    def __init__(self, path: Path, *, num_threads: int, is_bfloat16: bool = False) -> None:
        """Raises UnsupportedError where OpenVINO is absent or the CPU has no bfloat16, EngineError for a bad file."""
        core = _core()
        self.artifact = path.name + BFLOAT16 * is_bfloat16
        self.num_streams = num_threads
        if is_bfloat16 and not has_bfloat16():
            raise UnsupportedError("this CPU does not compute in bfloat16")
        # Its own choice is bfloat16 where the CPU has it, which need not give the answers that training proved.
        config = {**_CONFIG, "INFERENCE_PRECISION_HINT": "bf16" if is_bfloat16 else "f32"}
        self._free: SimpleQueue[_Request] | None = SimpleQueue()
        try:
            model = core.read_model(str(path))
            self._image_hwc = tuple(size.get_length() for size in list(model.input(0).partial_shape)[1:])
            model.reshape([1, *self._image_hwc])
            for network in _networks(core, model, config, num_threads):
                request = network.create_infer_request()
                # Two threads that ask for the first array of a process at once can wait for each other for ever.
                self._free.put(_Request(request, request.input_tensors[0].data))
        except Exception as error:  # the runtime documents no exception types
            raise EngineError(f"openvino cannot load {path}: {error}") from error

    def run(self, images_nhwc: Images, deadline: float = NEVER) -> Scores:
        """Softmax scores, float32 (N, K), of uint8 (N, H, W, C). Raises EngineError."""
        check_images(images_nhwc, self._image_hwc)
        if (free := self._free) is None:
            raise EngineError("the engine is closed")
        request = free.get()
        try:
            rows = [_run_one(request, image_hwc) for image_hwc in images_nhwc]
            return rows[0] if len(rows) == 1 else np.concatenate(rows)
        except Exception as error:  # the runtime documents no exception types
            raise EngineError(f"openvino failed on {self.artifact} with {images_nhwc.shape}: {error}") from error
        finally:
            free.put(request)

    def close(self) -> None:
        """Frees the compiled network; a later run raises EngineError."""
        self._free = None


def _networks(core: Any, model: Any, config: Mapping[str, int | str], num: int) -> list[Any]:
    """Compiled once, 32 ms for network 26 in INT8; each further one is read from what that gave, 8 ms."""
    compiled = core.compile_model(model, "CPU", config)
    blob = compiled.export_model() if num > 1 else b""
    return [compiled, *(core.import_model(blob, "CPU", config) for _ in range(num - 1))]


def _run_one(request: _Request, image_hwc: Images) -> Scores:
    """Float32 (1, K) of uint8 (H, W, C)."""
    request.image_1hwc[0] = image_hwc
    request.request.infer(share_inputs=True)
    scores_1k: Scores = request.request.get_output_tensor(0).data
    check_scores(scores_1k, 1)
    return scores_1k.copy()
