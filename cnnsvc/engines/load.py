"""Chooses and loads the engine for a bundle; whether it answers right is golden.check_golden's question."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cnnsvc.bundle import Bundle
from cnnsvc.engines.base import Engine
from cnnsvc.engines.onnxruntime import OnnxruntimeEngine
from cnnsvc.engines.openvino import OpenvinoEngine
from cnnsvc.engines.runtimes import import_openvino
from cnnsvc.errors import BundleError, InvalidError, UnsupportedError

DEFAULT_ARTIFACT: Final = "model.onnx"

_ENGINES: Final[dict[str, Callable[..., Engine]]] = {"openvino": OpenvinoEngine, "onnxruntime": OnnxruntimeEngine}


def load_engine(engine: str, bundle: Bundle, *, num_threads: int, artifact: str | None = None) -> Engine:
    """An artifact of the bundle, ready to run; auto is OpenVINO where it is installed, else ONNX Runtime.

    Raises BundleError where the bundle lacks the artifact, InvalidError for another engine's name, UnsupportedError
    where the engine is not installed, EngineError where it refuses the file.
    """
    chosen = artifact or DEFAULT_ARTIFACT
    runnable = sorted(name for name in bundle.manifest.artifacts if name.endswith(".onnx"))
    if chosen not in runnable:
        raise BundleError(f"{bundle.path} has no artifact {chosen!r} for an engine; it has {runnable}")
    return open_engine(engine, bundle.path / chosen, num_threads=num_threads)


def open_engine(engine: str, path: Path, *, num_threads: int) -> Engine:
    """An ONNX file of any bundle, finished or not. Raises as load_engine does."""
    if engine == "auto":
        engine = _default_engine()
    if engine not in _ENGINES:
        raise InvalidError(f"engine {engine!r} is unknown; expected auto, {', '.join(_ENGINES)}")
    return _ENGINES[engine](path, num_threads=num_threads)


def _default_engine() -> str:
    try:
        import_openvino()
    except UnsupportedError:
        return "onnxruntime"
    return "openvino"
