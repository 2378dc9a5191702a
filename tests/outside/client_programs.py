"""Runs the programs of tests/outside/clients, each in the environment of its client."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from cnnsvc.engines.base import Scores
from cnnsvc.pixels import Pixels
from tests.bundles import CLASS_NAMES, SHAPE
from tests.encoded import encode
from tests.outside.environments import client_python

_PROGRAMS: Final = Path(__file__).parent / "clients"


def run_client(client: str, program: str, *arguments: object) -> Any:
    """What the program printed. -P: a program that is called like its client's package must not be taken for it."""
    command = [client_python(client), "-P", _PROGRAMS / program, *map(str, arguments)]
    finished = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120, cwd="/", check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return json.loads(finished.stdout)


def pictures(num_images: int) -> tuple[list[bytes], list[Pixels]]:
    """PNG files and the pixels that the network takes of them, so dark that every class has a score worth comparing."""
    random = np.random.default_rng(1)
    shape = SHAPE.height, SHAPE.width, SHAPE.channels
    images = [random.integers(0, 4, shape, np.uint8) for _ in range(num_images)]
    return [encode("PNG", image) for image in images], images


def own_scores(http_url: str, images: list[bytes], version: int = 0) -> Scores:
    """float32 (N, K), in the order of the class names, as our own API answers."""
    parameters = {"top_k": len(CLASS_NAMES), "version": version}
    rows = []
    for image in images:
        answer = httpx.post(f"{http_url}/api/v1/classify", content=image, params=parameters).json()
        scores = {each["name"]: each["score"] for each in answer["results"][0]["classes"]}
        rows.append([scores[name] for name in CLASS_NAMES])
    return np.array(rows, np.float32)
