"""config.pbtxt and labels.txt beside the version folders, for Triton; derived, never read by us."""

from pathlib import Path
from typing import Final

from cnnsvc.bundle import versions, write_atomically
from cnnsvc.manifest import Manifest

CONFIG_NAME: Final = "config.pbtxt"
LABELS_NAME: Final = "labels.txt"
_MAX_BATCH_SIZE: Final = 32

_CONFIG: Final = """\
name: "{name}"
backend: "onnxruntime"
default_model_filename: "model.onnx"
max_batch_size: {max_batch_size}
input [ {{ name: "image" data_type: TYPE_UINT8 format: FORMAT_NHWC dims: [ {height}, {width}, {channels} ] }} ]
output [ {{ name: "probabilities" data_type: TYPE_FP32 dims: [ {num_classes} ] label_filename: "{labels}" }} ]
version_policy: {{ latest {{ num_versions: 1 }} }}
dynamic_batching {{ }}
"""


def write_triton_files(model_dir: Path, manifest: Manifest) -> None:
    """Replaces both files, each whole, unless a newer version than this one has been published meanwhile."""
    if max(versions(model_dir), default=0) > manifest.version:
        return
    config = _CONFIG.format(
        name=manifest.name,
        max_batch_size=_MAX_BATCH_SIZE,
        height=manifest.image.height,
        width=manifest.image.width,
        channels=manifest.image.channels,
        num_classes=len(manifest.class_names),
        labels=LABELS_NAME,
    )
    labels = "".join(f"{name}\n" for name in manifest.class_names)
    write_atomically(model_dir / LABELS_NAME, labels)
    write_atomically(model_dir / CONFIG_NAME, config)
