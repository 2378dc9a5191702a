"""What every inference engine offers, and the checks they share."""

import math
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cnnsvc.errors import EngineError

Images = NDArray[np.uint8]
"""uint8 (N, H, W, C), 0..255."""
Scores = NDArray[np.float32]
"""float32 (N, K); rows sum to 1."""

LocalEngineName = Literal["auto", "openvino", "onnxruntime"]
"""What a user may ask for; auto is the fastest one on this machine that gives the golden answers (choice.py)."""
EngineName = Literal[LocalEngineName, "remote"]
"""The same of a server, and what infers elsewhere (remote.py), which auto never is."""


BFLOAT16: Final = "@bfloat16"
"""Behind an artifact's name: the same file, its float32 computed in bfloat16."""


NEVER: Final = math.inf


class Engine(Protocol):
    """One artifact, loaded. `run` may be called from up to `num_streams` threads at once."""

    is_single: bool
    """Whether it takes the images of a batch one by one, so that larger batches gain nothing."""

    name: str
    """openvino | onnxruntime | remote"""
    artifact: str
    """As the manifest names it, such as model.onnx."""
    num_streams: int

    @property
    def trouble(self) -> str:
        """Why it cannot answer for the time being, such as that its server is away; "" where it can."""
        ...

    def run(self, images_nhwc: Images, deadline: float = NEVER) -> Scores:
        """Softmax scores, float32 (N, K), of uint8 (N, H, W, C). Raises EngineError.

        `deadline` in time.monotonic() seconds is for engines that wait for others, which raise LateError past it,
        NotReadyError or OverloadedError; one that computes does not look at it.
        """
        ...

    def close(self) -> None: ...


def check_images(images_nhwc: Images, expected_hwc: tuple[int, ...]) -> None:
    """Raises EngineError unless uint8 (N, H, W, C): OpenVINO silently accepts float32 into a uint8 input."""
    if images_nhwc.dtype != np.uint8 or images_nhwc.shape[1:] != expected_hwc or not len(images_nhwc):
        expected = ", ".join(map(str, expected_hwc))
        raise EngineError(f"engine got {images_nhwc.dtype} {images_nhwc.shape}; expected uint8 (N, {expected})")


def check_scores(scores_nk: Scores, num_images: int) -> None:
    """Raises EngineError unless there is a row for each image: OpenVINO computes on where shapes do not fit."""
    if scores_nk.ndim != 2 or len(scores_nk) != num_images:
        raise EngineError(
            f"engine answered {num_images} images with {scores_nk.shape}; expected ({num_images}, classes)"
        )
