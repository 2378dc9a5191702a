"""What the Open Inference protocol tells of the server and its models, in messages that both doors send."""

import importlib.metadata
from typing import Final

from cnnsvc.errors import NotFoundError, NotReadyError
from cnnsvc.pb import oip_pb2 as pb
from service.frontends.oip_query import Target
from service.frontends.oip_tensors import INPUT_NAME, OUTPUT_NAME
from service.registry import Registry, ServedModel

_EXTENSIONS: Final = (
    "binary_tensor_data", "classification", "model_configuration", "model_repository", "parameters",
    "schedule_policy", "statistics",
)  # fmt: skip
_PLATFORM: Final = "onnx_onnxv1"
"""Every artifact that is served is an ONNX file, whatever engine runs it."""


def server_metadata() -> pb.ServerMetadataResponse:
    return pb.ServerMetadataResponse(
        name="cnnsvc", version=importlib.metadata.version("cnnsvc"), extensions=_EXTENSIONS
    )


def is_model_ready(target: Target, registry: Registry) -> bool:
    """Raises NotFoundError for what nobody knows; a version that is refused is known and not ready."""
    try:
        target.served(registry)
    except NotReadyError:
        return False
    except NotFoundError:
        refused = {
            number
            for one in registry.refusals()
            if one.name == target.model
            for number in (one.version, 0)  # without a version the model is meant
        }
        if target.label or target.version not in refused:
            raise
        return False
    return True


def model_metadata(served: ServedModel, registry: Registry) -> pb.ModelMetadataResponse:
    """One input is told of, as the exported networks have it; FP32 and BYTES go by the same name."""
    manifest, image = served.manifest, served.manifest.image
    shape = [-1, image.height, image.width, image.channels]
    tensor = pb.ModelMetadataResponse.TensorMetadata
    return pb.ModelMetadataResponse(
        name=manifest.name,
        versions=[str(one.manifest.version) for one in registry.models() if one.manifest.name == manifest.name],
        platform=_PLATFORM,
        inputs=[tensor(name=INPUT_NAME, datatype="UINT8", shape=shape)],
        outputs=[tensor(name=OUTPUT_NAME, datatype="FP32", shape=[-1, len(manifest.class_names)])],
    )


def model_config(served: ServedModel, max_images: int) -> pb.ModelConfig:
    """As Triton would tell it of the exported network; calls may hold up to `max_images`."""
    manifest, image = served.manifest, served.manifest.image
    return pb.ModelConfig(
        name=manifest.name,
        platform=_PLATFORM,
        backend=served.engine_name,
        max_batch_size=max_images,
        default_model_filename=served.artifact,
        input=[
            pb.ModelInput(
                name=INPUT_NAME,
                data_type=pb.TYPE_UINT8,
                format=pb.ModelInput.FORMAT_NHWC,
                dims=[image.height, image.width, image.channels],
            )
        ],
        output=[
            pb.ModelOutput(
                name=OUTPUT_NAME,
                data_type=pb.TYPE_FP32,
                dims=[len(manifest.class_names)],
                label_filename="labels.txt",
            )
        ],
    )
