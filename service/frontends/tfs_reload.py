"""TensorFlow Serving's config of models, as far as it can be followed here: version policies and labels."""

from cnnsvc.errors import ForbiddenError, InvalidError
from cnnsvc.pb import tfs_pb2 as pb
from service.admin import Admin
from service.reconfiguration import ModelConfig
from service.version_policy import ALL, VersionPolicy

_NO_ADMIN = (
    "the configuration cannot be changed over this door: that wants tokens (--tokens-file) and a folder of models"
    " (--models-dir)"
)


async def reload_config(admin: Admin | None, request: "pb.ReloadConfigRequest") -> None:
    """Raises ForbiddenError where nobody may, and what service.reconfiguration raises."""
    if admin is None:
        raise ForbiddenError(_NO_ADMIN)
    if request.metric_names:
        raise InvalidError("metric_names came; metrics are at /metrics and not in this answer")
    if request.config.WhichOneof("config") != "model_config_list":
        raise InvalidError(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently"
            " supported"
        )
    await admin.configure([_config(one) for one in request.config.model_config_list.config])


def _config(config: "pb.ModelConfig") -> ModelConfig:
    if config.model_platform not in ("", "tensorflow"):
        raise InvalidError(
            f"model_platform of {config.name[:80]!r} is {config.model_platform[:80]!r}; expected tensorflow or none"
        )
    return ModelConfig(config.name, _policy(config), dict(config.version_labels), config.base_path)


def _policy(config: "pb.ModelConfig") -> VersionPolicy | None:
    policy = config.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "latest":
        # None is one there.
        return VersionPolicy(num_latest=policy.latest.num_versions or 1)
    if choice == "all":
        return ALL
    if choice == "specific":
        versions = frozenset(policy.specific.versions)
        if not versions or min(versions) < 1:
            raise InvalidError(
                f"model_version_policy of {config.name[:80]!r} names the versions {sorted(versions)}; expected one at"
                " least, from 1"
            )
        return VersionPolicy(numbers=versions)
    return None
