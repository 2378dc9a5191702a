"""The signatures of an exported SavedModel are those that the service offers to TensorFlow Serving's clients."""

from typing import Any

import pytest
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from cnnsvc.manifest import read_manifest
from service.frontends.tfs_signatures import signature_defs
from tests.training.export.conftest import Exported

pytestmark = pytest.mark.slow


def test_the_service_offers_what_is_exported(exported: Exported) -> None:
    """Names, types and shapes of inputs and outputs and the method are the same, so a client can go either way."""
    saved = saved_model_pb2.SavedModel.FromString((exported.path / "saved_model.pb").read_bytes())
    written = {name: _facts(one) for name, one in saved.meta_graphs[0].signature_def.items() if name[0] != "_"}
    # By bytes, as they travel: the service's messages are declared in a package of their own.
    offered = {
        name: _facts(SignatureDef.FromString(one.SerializeToString()))
        for name, one in signature_defs(read_manifest(exported.path)).items()
    }
    assert offered == written


def _facts(signature: Any) -> Any:
    """Without the names that tensors have within the graph, of which those of outputs are of no use to clients."""
    inputs = {name: (info.name, *_type(info)) for name, info in signature.inputs.items()}
    outputs = {name: _type(info) for name, info in signature.outputs.items()}
    return inputs, outputs, signature.method_name


def _type(info: Any) -> tuple[int, list[int], bool]:
    return info.dtype, [dim.size for dim in info.tensor_shape.dim], info.tensor_shape.unknown_rank
