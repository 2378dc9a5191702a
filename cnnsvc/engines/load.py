"""Opens an artifact in an engine; which of them answers is for choice.py, whether it answers right for golden.py."""

from pathlib import Path
from typing import Any, Final, Protocol

from cnnsvc.bundle import Bundle
from cnnsvc.engines.base import BFLOAT16, Engine
from cnnsvc.engines.onnxruntime import OnnxruntimeEngine
from cnnsvc.engines.openvino import OpenvinoEngine
from cnnsvc.errors import BundleError, Fault, InvalidError


class _Opener(Protocol):
    def __call__(self, path: Path, *, num_threads: int, is_bfloat16: bool) -> Any: ...


ENGINES: Final[dict[str, _Opener]] = {"openvino": OpenvinoEngine, "onnxruntime": OnnxruntimeEngine}


def runnable_artifacts(bundle: Bundle) -> list[str]:
    """Those of the bundle that an engine can run, such as model.onnx."""
    return sorted(name for name in bundle.manifest.artifacts if name.removesuffix(BFLOAT16).endswith(".onnx"))


def load_engine(engine: str, bundle: Bundle, artifact: str, *, num_threads: int) -> Engine:
    """An artifact of the bundle, ready to run.

    Raises BundleError where the bundle lacks the artifact, InvalidError for another engine's name, UnsupportedError
    where the engine is not installed or has no such arithmetic, EngineError where it refuses the file.
    """
    runnable = runnable_artifacts(bundle)
    if artifact not in runnable:
        raise BundleError(f"{bundle.path} has no artifact {artifact!r} for an engine; it has {runnable}", Fault.ENGINE)
    file = bundle.path / artifact.removesuffix(BFLOAT16)
    return open_engine(engine, file, num_threads=num_threads, is_bfloat16=artifact.endswith(BFLOAT16))


def open_engine(engine: str, path: Path, *, num_threads: int, is_bfloat16: bool = False) -> Engine:
    """An ONNX file of any bundle, finished or not. Raises as load_engine does."""
    if engine not in ENGINES:
        raise InvalidError(f"engine {engine!r} is unknown; expected auto, {', '.join(ENGINES)}")
    opened: Engine = ENGINES[engine](path, num_threads=num_threads, is_bfloat16=is_bfloat16)
    return opened
