"""Trains, proves, serves and classifies real photographs, and prints the figures as Markdown.

    python -m bench.acceptance TRAIN_FOLDER TEST_FOLDER --image-size 180 --network 26 [--seed 100]

The test photographs go through `cnnsvc classify --bundle`, through gRPC and through HTTP, engine and artifact pinned.
The three must agree: the same best class, and no probability apart by more than 1e-6.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from cnnsvc.image_files import image_files
from cnnsvc.manifest import Manifest, read_manifest
from tests.e2e.server import CNNSVC, serving

MAX_DIFFERENCE = 1e-6
PINNED = ("--engine", "openvino", "--artifact", "model.onnx")

Scores = dict[str, dict[str, float]]
"""By file: score by class name."""


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as work:
        models_dir = Path(work) / "models"
        started = time.monotonic()
        bundle = _train(arguments, models_dir)
        seconds = time.monotonic() - started
        manifest = read_manifest(bundle)
        metrics = json.loads((bundle / "report" / "metrics.json").read_text())
        files = image_files([arguments.test])
        local = _classify(files, len(manifest.class_names), "--bundle", bundle, *PINNED)
        with serving("--models-dir", models_dir, *PINNED) as server:
            over_grpc = _classify(files, len(manifest.class_names), "--server", server.grpc_address)
            over_http = _classify_over_http(files, len(manifest.class_names), server.http_url)
    _print(arguments, manifest, metrics, seconds, local, {"gRPC": over_grpc, "HTTP": over_http})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--image-size", type=int, default=180)
    parser.add_argument("--network", default="26")
    parser.add_argument("--seed", type=int, default=100)
    return parser.parse_args()


def _train(arguments: argparse.Namespace, models_dir: Path) -> Path:
    options = {"--image-size": arguments.image_size, "--model": arguments.network, "--seed": arguments.seed}
    words = [str(word) for option in options.items() for word in option]
    command = [CNNSVC, "train", arguments.train, "--name", "photos", "--models-dir", models_dir, *words]
    finished = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True)
    return Path(finished.stdout.strip())


def _classify(files: list[Path], num_classes: int, *source: object) -> Scores:
    command = [CNNSVC, "classify", *files, "--json", "--top-k", num_classes, *source]
    finished = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True)
    records = [json.loads(line) for line in finished.stdout.splitlines()]
    return {record["file"]: {scored["name"]: scored["score"] for scored in record["classes"]} for record in records}


def _classify_over_http(files: list[Path], num_classes: int, http_url: str) -> Scores:
    found = {}
    with httpx.Client(timeout=30) as client:
        for file in files:
            url = f"{http_url}/api/v1/classify?top_k={num_classes}"
            (result,) = client.post(url, content=file.read_bytes()).raise_for_status().json()["results"]
            found[str(file)] = {scored["name"]: scored["score"] for scored in result["classes"]}
    return found


def _best(scores: dict[str, float]) -> str:
    return max(scores, key=lambda name: scores[name])


def _print(
    arguments: argparse.Namespace,
    manifest: Manifest,
    metrics: dict[str, Any],
    seconds: float,
    local: Scores,
    served: dict[str, Scores],
) -> None:
    history = metrics["history"]
    correct = sum(_best(scores) == Path(file).parent.name for file, scores in local.items())
    speed = sorted(record["images_per_second"] for record in history)[len(history) // 2]
    shape = manifest.image
    lines = [
        f"#### Network {manifest.network.name} at {shape.width}×{shape.height}, seed {arguments.seed}",
        f"- trained in {seconds:.0f} s, import, export and proof included; {len(history)} epochs, median"
        f" {speed:.0f} images/s; {manifest.network.num_parameters:,} parameters",
        f"- test photographs: {correct} of {len(local)} right, {correct / len(local):.1%}",
    ]
    for door, scores in served.items():
        num_same = sum(_best(scores[file]) == _best(local[file]) for file in local)
        largest = max(abs(scores[file][name] - local[file][name]) for file in local for name in local[file])
        lines.append(f"- {door} against the bundle: {num_same} of {len(local)} equal top-1, largest |Δp| {largest:.1e}")
        assert num_same == len(local), door
        assert largest <= MAX_DIFFERENCE, door
    lines += ["", "| artifact | images | accuracy | top-1 agreement | largest \\|Δp\\| |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {it.num_images} | {it.accuracy:.3f} | {it.top1_agreement:.4f} | {it.max_difference:.1e} |"
        for name, it in manifest.artifacts.items()
    ]
    sys.stdout.write("\n".join(lines) + "\n\n")


if __name__ == "__main__":
    main()
