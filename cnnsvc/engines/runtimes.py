"""The one door through which inference runtimes are imported: closed to their telemetry first.

Both runtimes report home by default: OpenVINO's converter asks www.google-analytics.com from a thread and writes to
~/intel; ONNX Runtime keeps a device id and a database under ~/.cache and uploads events. Neither import here does.
"""

import os
import sys
from typing import Any, Final

from cnnsvc.errors import UnsupportedError

_OPENVINO_REPORTERS: Final = ("openvino.tools.ovc", "openvino_telemetry")
# Read once, while its library is being loaded; its disable_telemetry_events() comes too late for the device id.
_ONNXRUNTIME_SWITCH: Final = "ORT_DISABLE_TELEMETRY"


def import_openvino() -> Any:
    """The module openvino without its model converter, which alone reports. Raises UnsupportedError."""
    for module in _OPENVINO_REPORTERS:
        # None makes a later import fail, which openvino expects; the annotation of sys.modules knows modules only.
        sys.modules.setdefault(module, None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise UnsupportedError(_absent("openvino", "openvino", error)) from None
    return openvino


def import_onnxruntime() -> Any:
    """The module onnxruntime, its telemetry never started. Raises UnsupportedError where it is absent."""
    os.environ[_ONNXRUNTIME_SWITCH] = "1"
    try:
        import onnxruntime
    except ImportError as error:
        raise UnsupportedError(_absent("onnxruntime", "cnnsvc[onnxruntime]", error)) from None
    return onnxruntime


def _absent(engine: str, requirement: str, error: ImportError) -> str:
    return f"engine {engine} is not installed ({error}); install it with: pip install '{requirement}'"
