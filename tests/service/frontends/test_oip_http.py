"""What the Open Inference protocol tells over HTTP of the server and its models."""

from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from cnnsvc.errors import Fault
from service.access import Scope
from service.frontends import http_admin
from service.frontends.dialects import Rooms, dialect_routes
from service.frontends.http_call import CallLimits
from service.frontends.http_gate import scope_of
from service.frontends.native_stream import StreamLimits
from service.metrics import Metrics
from service.registry import Refusal
from tests.bundles import CLASS_NAMES, write_bundle
from tests.fakes import FakePredictor, FakeRegistry
from tests.service.frontends.http_door import MAX_IMAGES, Door
from tests.service.frontends.oip_door import open_door
from tests.service.serving import build


async def get(door: Door, path: str) -> httpx.Response:
    async with door.client() as client:
        return await client.get(path)


async def post(door: Door, path: str, content: bytes = b"") -> httpx.Response:
    async with door.client() as client:
        return await client.post(path, content=content)


async def test_health() -> None:
    """Live always, ready where nothing is in the way, and each client finds the word that it reads."""
    live, ready = [await get(open_door(), f"/v2/health/{name}") for name in ("live", "ready")]
    assert (live.status_code, ready.status_code) == (200, 200)
    assert live.json() == ready.json() == {"live": True, "ready": True}
    door = open_door(reasons=("models are still being loaded",))
    live, ready = [await get(door, f"/v2/health/{name}") for name in ("live", "ready")]
    assert (live.status_code, live.json()["live"]) == (200, True)
    assert (ready.status_code, ready.json()["ready"]) == (503, False)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("flowers", 200),
        ("flowers/versions/1", 200),
        ("flowers/versions/stable", 200),
        ("flowers/versions/3", 503),
        ("flowers/versions/4", 404),
        ("flowers/versions/0", 400),
        ("roses", 503),
        ("lilies", 404),
    ],
)
async def test_a_model_is_ready_or_not_or_unknown(path: str, status: int) -> None:
    """One that is refused is known and not ready."""
    refused = Refusal("flowers", 3, Fault.HASH, "changed"), Refusal("roses", 1, Fault.HASH, "changed")
    response = await get(open_door(refused=refused), f"/v2/models/{path}/ready")
    assert response.status_code == status, response.text
    if status in (200, 503):
        assert response.json() == {"name": path.partition("/")[0], "ready": status == 200}


async def test_descriptions() -> None:
    """Of the server, of a model with its versions, of its configuration as Triton tells it; numbers are numbers."""
    door = open_door()
    server = (await get(door, "/v2")).json()
    assert (server["name"], "binary_tensor_data" in server["extensions"]) == ("cnnsvc", True)
    metadata = (await get(door, "/v2/models/flowers/versions/1")).json()
    assert metadata == {
        "name": "flowers",
        "versions": ["1", "2"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 24, 32, 3]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}],
    }
    config = (await get(door, "/v2/models/flowers/config")).json()
    assert config["max_batch_size"] == MAX_IMAGES
    assert config["input"] == [
        {"name": "image", "data_type": "TYPE_UINT8", "format": "FORMAT_NHWC", "dims": [24, 32, 3]}
    ]
    assert config["output"][0]["dims"] == [len(CLASS_NAMES)]
    assert (await get(door, "/v2/models/roses")).json().keys() == {"error"}
    assert door.num_requests("oip_model_metadata", "ok", "flowers", "1") == 1
    assert door.num_requests("oip_model_config", "ok", "flowers", "2") == 1


@pytest.mark.parametrize(
    ("path", "versions"),
    [("stats", ["1", "2"]), ("flowers/stats", ["1", "2"]), ("flowers/versions/2/stats", ["2"])],
)
async def test_statistics(path: str, versions: list[str]) -> None:
    """Of all, of a model, of a version, with every field that Triton has."""
    found = (await get(open_door(), f"/v2/models/{path}")).json()["model_stats"]
    assert [one["version"] for one in found] == versions
    assert found[0]["inference_stats"]["cache_hit"] == {"count": 0, "ns": 0}
    assert found[0]["batch_stats"] == []
    assert (await get(open_door(), "/v2/models/roses/stats")).status_code == 404


async def test_the_index_takes_no_room_of_the_admin_api() -> None:
    """What callers send who may not decide anything is held elsewhere."""
    held = 64 * 64 * 1024
    http_admin._ADMISSION.add(0, held)
    try:
        response = await post(open_door(), "/v2/repository/index", b"{}")
    finally:
        http_admin._ADMISSION.release(0, held)
    assert response.status_code == 200, response.text


async def test_the_repository_index() -> None:
    """What answers and what is refused with its reason; only the former where that is asked for."""
    door = open_door(refused=(Refusal("flowers", 3, Fault.HASH, "a file changed"),))
    found = (await post(door, "/v2/repository/index")).json()
    assert [(one["version"], one["state"], one["reason"]) for one in found] == [
        ("1", "READY", ""),
        ("2", "READY", ""),
        ("3", "UNAVAILABLE", "a file changed"),
    ]
    assert len((await post(door, "/v2/repository/index", b'{"ready": true}')).json()) == 2
    assert (await post(door, "/v2/repository/index", b"{")).status_code == 400


async def test_loading_and_unloading(tmp_path: Path) -> None:
    """The newest version unless one is named; a model as a whole stays in service, and files are not taken."""
    for seed in range(3):
        write_bundle(tmp_path, seed=seed)
    serving = build(tmp_path)
    try:
        door = open_door(admin=serving.admin)
        path = "/v2/repository/models/flowers"
        assert (await post(door, f"{path}/load", b'{"parameters": {"version": 1}}')).status_code == 200
        assert (await post(door, f"{path}/load")).status_code == 200
        assert serving.served() == [1, 3]
        refused = await post(door, f"{path}/unload", b'{"parameters": {"unload_dependents": false}}')
        assert (refused.status_code, "name one of several" in refused.json()["error"]) == (409, True)
        assert (await post(door, f"{path}/unload", b'{"parameters": {"version": "3"}}')).status_code == 200
        assert serving.served() == [1]
        assert (await post(door, f"{path}/load", b'{"parameters": {"version": 3}}')).status_code == 200
        for body in (b'{"parameters": {"config": "{}"}}', b'{"parameters": {"file:1/model.onnx": "eA=="}}'):
            refused = await post(door, f"{path}/load", body)
            assert (refused.status_code, "as it lies there" in refused.json()["error"]) == (400, True)
        assert (await post(door, "/v2/repository/models/roses/load")).status_code == 404
        assert (await post(door, f"{path}/load", b'{"parameters": {"version": "x"}}')).status_code == 400
    finally:
        await serving.close()


async def test_nothing_is_loaded_without_an_admin_api() -> None:
    """It says why."""
    for act in ("load", "unload"):
        refused = await post(open_door(), f"/v2/repository/models/flowers/{act}")
        assert (refused.status_code, "admin API" in refused.json()["error"]) == (501, True)


def test_what_opens_the_routes() -> None:
    """Probes are open, loading is for admins, everything else wants what classification wants."""
    registry = FakeRegistry()
    limits = CallLimits(1, 1, 1)
    metrics = Metrics(CollectorRegistry(), version="test")
    rooms = Rooms(FakePredictor(), registry, metrics, limits, StreamLimits(1, 1))
    scopes = {route.path: scope_of(route.path) for route in dialect_routes(rooms) if route.path.startswith("/v2")}
    assert {path for path, scope in scopes.items() if scope is None} == {"/v2/health/live", "/v2/health/ready"}
    admin = "/v2/repository/models/{name}"
    assert {path for path, scope in scopes.items() if scope is Scope.ADMIN} == {f"{admin}/load", f"{admin}/unload"}
    assert sum(scope is Scope.CLASSIFY for scope in scopes.values()) == len(scopes) - 4


async def test_what_is_not_there() -> None:
    """An unknown path and a wrong method have the protocol's error body too."""
    for path in ("/v2/nothing", "/v2/models/flowers/infer"):
        response = await get(open_door(), path)
        assert (response.status_code in (404, 405), list(response.json())) == (True, ["error"])
