"""Public names of gRPC methods, as spans have them."""

from typing import Any

import pytest

from cnnsvc.pb import classifier_pb2, tfs_pb2
from service.frontends.rpc_names import rpc_name
from service.health import CLASSIFIER_SERVICE


def _rpcs(file: Any, package: str) -> set[str]:
    return {
        f"{package}.{service.name}/{method.name}"
        for service in file.services_by_name.values()
        for method in service.methods
    }


def test_those_of_our_own_service() -> None:
    """They are methods of the classifier."""
    ours = ("classify", "classify_stream", "list_models", "get_model")
    assert {rpc_name(method) for method in ours} == _rpcs(classifier_pb2.DESCRIPTOR, CLASSIFIER_SERVICE.split(".C")[0])


def test_those_of_tensorflow_serving() -> None:
    """Every method of both services has the name that its clients call, without our private package."""
    methods = ("predict", "classify", "regress", "multi_inference", "get_model_metadata")
    of_models = ("get_model_status", "reload_config")
    found = {rpc_name(f"tfs_{method}") for method in (*methods, *of_models)}
    assert found == _rpcs(tfs_pb2.DESCRIPTOR, "tensorflow.serving")


@pytest.mark.parametrize("method", ["authorize"])
def test_what_is_none_of_them(method: str) -> None:
    """A refusal before the method is known has a name all the same."""
    assert rpc_name(method) == f"{CLASSIFIER_SERVICE}/Authorize"
