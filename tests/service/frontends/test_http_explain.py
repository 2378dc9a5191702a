"""POST /api/v1/explain: the forms of its body, its parameters, what it refuses and what it answers."""

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from cnnsvc.errors import OverloadedError
from cnnsvc.occlusion import plan_grid
from service.frontends.http_explain import read_budget
from tests.bundles import CLASS_NAMES, SHAPE
from tests.encoded import encode
from tests.service.frontends.http_door import MAX_IMAGES, Door, open_door
from tests.service.frontends.test_openapi import check_against, served_document

IMAGE = encode("PNG")
URL = "/api/v1/explain?model=flowers"
JSON: dict[str, Any] = {"image": base64.b64encode(IMAGE).decode()}


async def post(door: Door, url: str = URL, **options: Any) -> httpx.Response:
    async with door.client() as client:
        return await client.post(url, **options)


async def test_the_answer() -> None:
    """Model, class, score, grid, map and picture are there, as documented; the call is measured by its own name."""
    door = open_door()
    response = await post(door, content=IMAGE)
    assert response.status_code == 200, response.text
    found = response.json()
    grid = plan_grid(SHAPE.height, SHAPE.width, 200)
    assert (found["model"], found["version"], found["class_name"], found["score"]) == ("flowers", 2, "daisy", 0.75)
    assert (found["grid_height"], found["grid_width"], found["patch_size"]) == (grid.height, grid.width, grid.patch)
    assert (found["input_height"], found["input_width"]) == (SHAPE.height, SHAPE.width)
    assert found["budget_used"] == grid.num_inferences <= 200
    assert found["heat"] == [[0.0] * grid.width] * grid.height
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["heat_png"]))))
    assert picture.shape == (SHAPE.height, SHAPE.width, 4)
    assert set(found["timings"]) == {"decode_ms", "inference_ms", "total_ms"}
    assert door.num_requests("explain", "ok", "flowers", "2") == 1
    assert door.predictor.queries == []
    check_against(await served_document(), "/api/v1/explain", "post", response)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("&version=1&class_name=rose&budget=16", {"content": IMAGE, "headers": {"content-type": "image/png"}}),
        ("", {"json": {**JSON, "version": 1, "class_name": "rose", "budget": 16}}),
        (
            "&budget=16",
            {"files": {"image": IMAGE}, "data": {"version": "1", "class_name": "rose"}},
        ),
    ],
)
async def test_every_form_of_the_body(url: str, options: dict[str, Any]) -> None:
    """Raw bytes, JSON and a form carry the same call, with parameters beside or inside of them."""
    response = await post(open_door(), URL + url, **options)
    assert response.status_code == 200, response.text
    found = response.json()
    assert (found["version"], found["class_name"], found["score"]) == (1, "rose", 0.25)
    assert found["budget_used"] <= 16


@pytest.mark.parametrize(
    ("url", "options", "status", "said"),
    [
        ("&class_name=lily", {"content": IMAGE}, 400, f"'lily'; expected one of {', '.join(CLASS_NAMES)}"),
        ("&budget=15", {"content": IMAGE}, 400, "budget is '15'; expected a whole number from 16 to 1024"),
        ("&budget=1025", {"content": IMAGE}, 400, "from 16 to 1024"),
        ("&budget=many", {"content": IMAGE}, 400, "from 16 to 1024"),
        ("&top_k=1", {"content": IMAGE}, 400, "allowed are model, version, label, class_name, budget"),
        ("&version=7", {"content": IMAGE}, 404, "version 7"),
        ("", {"content": b""}, 400, "the body is empty"),
        ("", {"content": b"no image"}, 400, "image"),
        ("", {"files": [("image", IMAGE), ("image", IMAGE)]}, 413, "more images than the 1 allowed"),
        ("", {"json": {"images": [JSON["image"]] * MAX_IMAGES}}, 400, "explanation"),
        ("", {"json": {**JSON, "budget": 1}}, 400, "budget"),
        ("&budget=16", {"json": {**JSON, "budget": 16}}, 400, "given twice"),
        ("", {"content": IMAGE, "headers": {"content-type": "text/plain"}}, 415, "text/plain"),
    ],
)
async def test_what_is_refused(url: str, options: dict[str, Any], status: int, said: str) -> None:
    """What came and what is allowed stands in the answer, and it is counted under explain."""
    door = open_door()
    response = await post(door, URL + url, **options)
    assert (response.status_code, said in response.json()["detail"]) == (status, True), response.text
    assert door.num_requests("explain", response.json()["kind"]) == 1


async def test_no_room() -> None:
    """Where the service is full, so it is for explanations."""
    door = open_door()
    door.predictor.room_error = OverloadedError("full")
    response = await post(door, content=IMAGE)
    assert (response.status_code, response.json()["kind"]) == (429, "overloaded")


def test_the_default_budget_is_within_the_limit() -> None:
    """A server that allows less than the usual budget gives what it allows."""
    assert read_budget(None, 1024) == 200
    assert read_budget(None, 64) == 64
    assert read_budget("1000", 1024) == 1000
