"""NVIDIA's clients load and unload a model where their token lets them."""

from pathlib import Path

import pytest

from service.access import Scope
from tests.bundles import write_bundle
from tests.e2e.server import serving
from tests.outside.client_programs import run_client
from tests.outside.environments import served_from_wheel
from tests.tokens import write_tokens

pytestmark = pytest.mark.slow

_REFUSALS = {
    "metadata_for_nobody": ("401", "UNAUTHENTICATED", "token"),
    "load_by_nobody": ("401", "UNAUTHENTICATED", "token"),
    "load_by_caller": ("403", "PERMISSION_DENIED", "admin"),
    "unload_by_admin": ("409", "ABORTED", "never taken out of service as a whole"),
    "other_files": ("400", "INVALID_ARGUMENT", "'config' is not offered"),
}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_loading(tmp_path: Path, protocol: str) -> None:
    """An admin's load brings the newest version into service, although the policy names another; nobody else's does."""
    models_dir = tmp_path / "models"
    for seed in range(2):
        write_bundle(models_dir, seed=seed)
    caller = write_tokens(tmp_path, Scope.CLASSIFY, name="caller")
    admin = write_tokens(tmp_path, Scope.ADMIN, name="admin")
    options = ["--versions", "1", "--tokens-file", admin.tokens_file, "--state-dir", tmp_path / "state"]
    with serving("--models-dir", models_dir, *options, command=[served_from_wheel()], cwd=Path("/")) as server:
        address = server.http_url.removeprefix("http://") if protocol == "http" else server.grpc_address
        found = run_client("tritonclient", "triton_repository.py", protocol, address, caller.token, admin.token)
    assert found["live"] is True
    assert (found["before"], found["load_by_admin"], found["after"]) == (["1"], [], ["1", "2"])
    assert found["ready"] is True
    for name, (http_status, grpc_status, words) in _REFUSALS.items():
        status, message = found[name]
        assert status == (http_status if protocol == "http" else f"StatusCode.{grpc_status}"), (name, message)
        assert words in message, (name, message)
