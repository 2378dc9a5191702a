import re

import pytest

from tests.service.frontends.http_door import open_door

API_URLS = ["/api/v1/classify", "/api/v1/models", "/api/v1/models/flowers", "/livez", "/readyz", "/metrics", "/docs"]


async def test_models_are_listed() -> None:
    """The list holds every loaded version with all that a caller may ask of it."""
    door = open_door()
    async with door.client() as client:
        models = (await client.get("/api/v1/models")).json()["models"]
    assert [(model["name"], model["version"], model["is_default"]) for model in models] == [
        ("flowers", 1, False),
        ("flowers", 2, True),
    ]
    assert models[0] == {
        "name": "flowers",
        "version": 1,
        "is_default": False,
        "labels": [],
        "class_names": ["daisy", "rose", "tulip"],
        "image": {"height": 24, "width": 32, "channels": 3},
        "engine": "openvino",
        "artifact": "model.onnx",
        "precision": "float32",
        "trials": [
            {
                "engine": "openvino",
                "artifact": "model.onnx",
                "num_streams": 1,
                "batch_size": 1,
                "images_per_second": 250.0,
                "is_chosen": True,
                "refusal": "",
            },
            {
                "engine": "onnxruntime",
                "artifact": "model.onnx",
                "num_streams": 1,
                "batch_size": 1,
                "images_per_second": 0.0,
                "is_chosen": False,
                "refusal": "engine onnxruntime is not installed",
            },
        ],
        "network": {"name": "custom", "notation": "C: 4 D:", "num_parameters": 100},
        "artifacts": {
            "model.onnx": {
                "precision": "float32",
                "num_images": 3,
                "accuracy": 1.0,
                "top1_agreement": 1.0,
                "max_difference": 0.0,
                "num_undecodable": 0,
            }
        },
        "created": "2026-01-02T03:04:05Z",
    }
    assert door.num_requests("list_models", "ok") == 1


async def test_one_model_by_name_and_version() -> None:
    """Without a version the default one answers, and the metrics count the version that answered."""
    door = open_door()
    async with door.client() as client:
        assert (await client.get("/api/v1/models/flowers")).json()["version"] == 2
        assert (await client.get("/api/v1/models/flowers/1")).json()["version"] == 1
    assert door.num_requests("get_model", "ok", "flowers", "2") == 1
    assert door.num_requests("get_model", "ok", "flowers", "1") == 1


@pytest.mark.parametrize(
    ("url", "status", "kind"),
    [
        ("/api/v1/models/trees", 404, "not_found"),
        ("/api/v1/models/flowers/9", 404, "not_found"),
        ("/api/v1/models/flowers/new", 400, "invalid"),
        ("/api/v1/models/flowers/0", 400, "invalid"),
        ("/api/v1/models/flowers?verbose=1", 400, "invalid"),
    ],
)
async def test_models_that_are_not_there(url: str, status: int, kind: str) -> None:
    """An unknown model and a malformed version are told apart; neither becomes a label of the metrics."""
    door = open_door()
    async with door.client() as client:
        response = await client.get(url)
    assert (response.status_code, response.json()["kind"]) == (status, kind)
    assert door.num_requests("get_model", kind) == 1


@pytest.mark.parametrize("url", ["/nothing", "/v3/health/live", "/api/v1", "/api/v1/models/", "/docs/setup.py"])
async def test_unknown_routes_are_problems(url: str) -> None:
    """Whatever has no route is a 404 problem, a trailing slash included."""
    async with open_door().client() as client:
        response = await client.get(url)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["kind"] == "not_found"


@pytest.mark.parametrize("url", ["/v1", "/v1/models", "/v1/nothing/flowers", "/v2/nothing"])
async def test_errors_of_foreign_protocols_look_as_theirs(url: str) -> None:
    """On the paths of TensorFlow Serving and of the Open Inference protocol an error is an object with its text."""
    async with open_door().client() as client:
        response = await client.get(url)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    assert url in response.json()["error"]


@pytest.mark.parametrize(
    ("method", "url", "allow"),
    [("GET", "/api/v1/classify", "POST"), ("POST", "/api/v1/models", "GET, HEAD"), ("DELETE", "/livez", "GET, HEAD")],
)
async def test_other_methods_are_problems(method: str, url: str, allow: str) -> None:
    """A method that a route does not take is a 405 problem that says which it takes."""
    async with open_door().client() as client:
        response = await client.request(method, url)
    assert response.status_code == 405
    assert response.headers["allow"] == allow
    assert response.json()["status"] == 405
    assert allow in response.json()["detail"]


async def test_health() -> None:
    """Live as long as it answers; ready when nothing speaks against it, and with the reasons otherwise."""
    async with open_door().client() as client:
        assert (await client.get("/livez")).text == "ok"
        ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": [], "warnings": []})
    async with open_door(reasons=["no model is there to serve"]).client() as client:
        assert (await client.get("/livez")).status_code == 200
        unready = await client.get("/readyz")
    assert (unready.status_code, unready.json()) == (
        503,
        {"ready": False, "reasons": ["no model is there to serve"], "warnings": []},
    )


async def test_metrics_are_scraped_in_the_format_that_is_asked_for() -> None:
    """Prometheus gets OpenMetrics when it accepts it, plain text otherwise; a scrape is not counted as a call."""
    async with open_door().client() as client:
        plain = await client.get("/metrics")
        open_metrics = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert plain.headers["content-type"].startswith("text/plain")
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert "cnnsvc_build_info" in plain.text
    assert 'protocol="http"' not in plain.text


@pytest.mark.parametrize("url", [*API_URLS, "/openapi.json", "/nothing"])
async def test_every_response_has_a_request_id(url: str) -> None:
    """The caller's request id comes back, and a caller without one gets one of its own for each request."""
    async with open_door().client() as client:
        assert (await client.get(url, headers={"X-Request-Id": "a.B-c_9"})).headers["x-request-id"] == "a.B-c_9"
        ids = [(await client.get(url)).headers["x-request-id"] for _ in range(2)]
    assert ids[0] != ids[1]
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in ids)


@pytest.mark.parametrize("request_id", ["", "a" * 129, "a b", "a\tb", "é", "a/b", "<script>"])
async def test_unsafe_request_ids_are_replaced(request_id: str) -> None:
    """An id that could break a header or a log line is not repeated."""
    async with open_door().client() as client:
        response = await client.get("/livez", headers={b"X-Request-Id": request_id.encode("utf-8")})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
