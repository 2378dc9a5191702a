"""TensorFlow Serving's config of models, as our own configuration gets it."""

from collections.abc import Sequence

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from cnnsvc.errors import CnnsvcError, ForbiddenError, InvalidError
from cnnsvc.pb import tfs_pb2 as pb
from service.access import Scope
from service.admin import Admin
from service.frontends.grpc_gate import scope_of
from service.frontends.tfs_reload import reload_config
from service.reconfiguration import ModelConfig
from service.version_policy import ALL, VersionPolicy

_Policy = pb.FileSystemStoragePathSourceConfig.ServableVersionPolicy


class NotingAdmin(Admin):
    def __init__(self) -> None:
        self.configs: list[ModelConfig] = []

    async def configure(self, configs: Sequence[ModelConfig]) -> None:
        self.configs = list(configs)


def reload_request(*configs: pb.ModelConfig) -> pb.ReloadConfigRequest:
    return pb.ReloadConfigRequest(
        config=pb.ModelServerConfig(model_config_list=pb.ModelConfigList(config=list(configs)))
    )


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (None, None),
        (_Policy(latest=_Policy.Latest(num_versions=2)), VersionPolicy(num_latest=2)),
        (_Policy(latest=_Policy.Latest()), VersionPolicy(num_latest=1)),
        (_Policy(all=_Policy.All()), ALL),
        (_Policy(specific=_Policy.Specific(versions=[3, 1])), VersionPolicy(numbers=frozenset({1, 3}))),
    ],
)
async def test_each_policy_has_ours(policy: _Policy | None, expected: VersionPolicy | None) -> None:
    """Policies, labels and folders are handed on model by model."""
    admin = NotingAdmin()
    config = pb.ModelConfig(
        name="flowers",
        base_path="/models/flowers",
        model_platform="tensorflow",
        model_version_policy=policy,
        version_labels={"canary": 3},
    )
    await reload_config(admin, reload_request(config, pb.ModelConfig(name="trees")))
    assert admin.configs == [
        ModelConfig("flowers", expected, {"canary": 3}, "/models/flowers"),
        ModelConfig("trees"),
    ]


@pytest.mark.parametrize(
    ("request_", "kind", "words"),
    [
        (pb.ReloadConfigRequest(), InvalidError, "Only ModelConfigList is currently supported"),
        (
            pb.ReloadConfigRequest(config=pb.ModelServerConfig(custom_model_config=AnyMessage())),
            InvalidError,
            "ServerModelConfig type not supported",
        ),
        (pb.ReloadConfigRequest(metric_names=["x"]), InvalidError, "metric_names came"),
        (
            reload_request(pb.ModelConfig(name="flowers", model_platform="pytorch")),
            InvalidError,
            "model_platform of 'flowers' is 'pytorch'; expected tensorflow or none",
        ),
        *(
            (
                reload_request(
                    pb.ModelConfig(
                        name="flowers", model_version_policy=_Policy(specific=_Policy.Specific(versions=versions))
                    )
                ),
                InvalidError,
                "expected one at least, from 1",
            )
            for versions in ([], [0, 1], [-1])
        ),
    ],
)
async def test_what_cannot_be_read(request_: pb.ReloadConfigRequest, kind: type[CnnsvcError], words: str) -> None:
    """It is refused with what is allowed, and nothing is configured."""
    admin = NotingAdmin()
    with pytest.raises(kind, match=words):
        await reload_config(admin, request_)
    assert admin.configs == []


async def test_only_an_operator_may() -> None:
    """The gate wants a token of the scope admin, and where there are no tokens nobody may."""
    assert scope_of("/tensorflow.serving.ModelService/HandleReloadConfigRequest") is Scope.ADMIN
    assert scope_of("/tensorflow.serving.ModelService/GetModelStatus") is Scope.CLASSIFY
    with pytest.raises(ForbiddenError, match="wants tokens"):
        await reload_config(None, reload_request())
