"""The ONNX Runtime engine: where OpenVINO does not run, and the second witness of every export."""

from pathlib import Path
from typing import Any

import numpy as np

from cnnsvc.engines.base import NEVER, Images, Scores, check_images, check_scores
from cnnsvc.engines.runtimes import import_onnxruntime
from cnnsvc.errors import EngineError, UnsupportedError


class OnnxruntimeEngine:
    """One session; each calling thread computes its own batch, so as many run at once as threads call."""

    name = "onnxruntime"
    trouble = ""
    is_single = False

    def __init__(self, path: Path, *, num_threads: int, is_bfloat16: bool = False) -> None:
        """Raises UnsupportedError where ONNX Runtime is absent or for bfloat16, EngineError for a bad file."""
        if is_bfloat16:
            raise UnsupportedError("onnxruntime computes float32 files in float32 only")
        onnxruntime = import_onnxruntime()
        self.artifact = path.name
        self.num_streams = num_threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # fatal: else it writes its errors to standard error too, past every log format
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            (image,) = self._session.get_inputs()
        except Exception as error:  # its exceptions share no base class but Exception
            raise EngineError(f"onnxruntime cannot load {path}: {error}") from error
        self._input_name: str = image.name
        self._image_hwc = tuple(image.shape[1:])

    def run(self, images_nhwc: Images, deadline: float = NEVER) -> Scores:
        """Softmax scores, float32 (N, K), of uint8 (N, H, W, C). Raises EngineError."""
        check_images(images_nhwc, self._image_hwc)
        try:
            if self._session is None:
                raise EngineError("the engine is closed")
            scores: Scores = self._session.run(None, {self._input_name: np.ascontiguousarray(images_nhwc)})[0]
        except Exception as error:  # its exceptions share no base class but Exception
            raise EngineError(f"onnxruntime failed on {self.artifact} with {images_nhwc.shape}: {error}") from error
        check_scores(scores, len(images_nhwc))
        return scores

    def close(self) -> None:
        """Frees the session; a later run raises EngineError."""
        self._session = None
