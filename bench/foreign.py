"""Foreign protocols against our own API: the same scores on every photograph, and what a call costs; prints Markdown.

    python -m bench.foreign [--bundle models/NAME/VERSION] [--photographs FOLDER] [--rounds 15] [--calls 60]

One server, one caller; rounds go through the forms of call in turn, and each form's CPU is that of the server process.
The deviation is the largest of any class' score from our own gRPC API's, in float32.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Final

import grpc
import numpy as np

from bench.dialects import Request
from bench.faults.swaps import publish
from bench.foreign_forms import Form, all_forms
from bench.photographs import SMALL, photographs
from bench.process_tree import cpu_seconds
from cnnsvc.image_files import image_files
from tests.e2e.server import serving

_NUM_PHOTOGRAPHS: Final = 100


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, help="default is a very small network")
    parser.add_argument("--photographs", type=Path, help="default is generated ones")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=60)
    arguments = parser.parse_args()
    images = read_images(arguments.photographs)
    sys.stdout.write(run(arguments.bundle, images, arguments.rounds, arguments.calls))


def read_images(folder: Path | None) -> list[bytes]:
    if folder is None:
        return photographs(None)[SMALL]
    files = image_files([folder])
    return [file.read_bytes() for file in files[:: max(1, len(files) // _NUM_PHOTOGRAPHS)][:_NUM_PHOTOGRAPHS]]


def run(source: Path | None, images: Sequence[bytes], num_rounds: int, num_calls: int) -> str:
    with tempfile.TemporaryDirectory() as work:
        models = Path(work) / "models"
        publish(models, source)
        with (
            serving("--models-dir", models) as server,
            grpc.insecure_channel(server.grpc_address) as channel,
            contextlib.closing(HTTPConnection(server.http_url.removeprefix("http://"))) as http,
        ):
            forms = list(all_forms(http, channel, next(models.glob("[!.]*")).name))
            cpu_ms: dict[str, list[float]] = {form.name: [] for form in forms}
            deviations = {form.name: deviation(form, forms[0], images) for form in forms}
            requests = {form.name: [form.request(image) for image in images] for form in forms}
            for _ in range(num_rounds):
                for form in forms:
                    cpu_ms[form.name].append(_cpu_ms(form, requests[form.name], num_calls, server.process.pid))
    return table(forms, cpu_ms, deviations, len(images))


def deviation(form: Form, reference: Form, images: Sequence[bytes]) -> float:
    """The largest over all images and classes."""
    rows = [[each.scores(each.ask(each.request(image))) for each in (form, reference)] for image in images]
    return float(max(np.abs(found - expected).max() for found, expected in rows))


def table(forms: Sequence[Form], cpu_ms: dict[str, list[float]], deviations: dict[str, float], num_images: int) -> str:
    heading = f"| call | largest deviation, {num_images} images | CPU of the server a call, ms | to our own |"
    lines = [heading, "|---|---:|---:|---:|"]
    for form in forms:
        ratio = np.median(np.array(cpu_ms[form.name]) / np.array(cpu_ms[form.base]))
        lines.append(f"| {form.name} | {deviations[form.name]:g} | {median(cpu_ms[form.name]):.3f} | {ratio:.2f} |")
    return "\n".join(lines) + "\n"


def _cpu_ms(form: Form, requests: Sequence[Request], num_calls: int, pid: int) -> float:
    before = cpu_seconds(pid)
    for number in range(num_calls):
        form.ask(requests[number % len(requests)])
    return 1000 * (cpu_seconds(pid) - before) / num_calls


if __name__ == "__main__":
    main()
