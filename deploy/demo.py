"""`make demo`: the main job, on images made for it: train, prove, serve, classify, explain, show the metrics.

Everything runs through the commands that a user would type, which are printed as they run. It keeps serving when a
person watches (until Ctrl-C) and ends by itself otherwise.
"""

import base64
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.images import write_image_folder

ROOT: Final = Path("demo")
CNNSVC: Final = str(Path(sys.executable).with_name("cnnsvc"))
_ADDRESSES: Final = re.compile(r"gRPC listens on (\S+), HTTP on (\S+)")


def main() -> None:
    started = time.monotonic()
    shutil.rmtree(ROOT, ignore_errors=True)
    say("Making a sample: 4 classes of 60 coloured shapes, and 3 new ones of each to classify later")
    write_image_folder(ROOT / "images", num_classes=4, images_per_class=60, size=64, extension=".jpg")
    write_image_folder(ROOT / "new", num_classes=4, images_per_class=3, size=64, extension=".jpg", first_seed=1000)

    say("Training network 26 on it, exporting the bundle and proving it")
    run(
        "train", ROOT / "images", "--name", "shapes", "--models-dir", ROOT / "models", "--image-size", 48, "--epochs", 6
    )
    with serving() as (server, grpc_address, http_url):
        say("Classifying new images over gRPC")
        run("classify", ROOT / "new", "--server", grpc_address, "--top-k", 2)
        say("Classifying one over HTTP")
        image = ROOT / "new" / "red" / "000.jpg"
        post_file(image, f"{http_url}/api/v1/classify?top_k=2")
        say("The same as a client of TensorFlow Serving asks, and one of Triton or KServe")
        rows = {"instances": [{"b64": base64.b64encode(image.read_bytes()).decode()}]}
        (ROOT / "red.json").write_text(json.dumps(rows))
        post_file(ROOT / "red.json", f"{http_url}/v1/models/shapes:predict")
        post_file(image, f"{http_url}/v2/models/shapes/infer", "Inference-Header-Content-Length: 0")
        say("Why did it say that?")
        run("explain", image, "--server", http_url, "--output", ROOT / "red.explained.png")
        say("A few of the metrics that Prometheus scrapes")
        show("curl", f"{http_url}/metrics")
        sys.stdout.write("".join(interesting_metrics(get(f"{http_url}/metrics"))))
        say(f"Done in {time.monotonic() - started:.0f} s. The bundle: {ROOT}/models/shapes/1 (open report/report.html)")
        if sys.stdin.isatty() and sys.stdout.isatty():
            say(f"Still serving: {http_url}/ is a page to classify on. Ctrl-C ends it.")
            with contextlib.suppress(KeyboardInterrupt):
                server.wait()


@contextlib.contextmanager
def serving() -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A server on free ports, ready, with its gRPC address and HTTP URL; stopped on the way out."""
    arguments = ["serve", "--models-dir", str(ROOT / "models"), "--grpc-port", "0", "--http-port", "0"]
    say("Serving it (ports chosen by the system; 8500 and 8501 by default)")
    show("cnnsvc", *arguments)
    server = subprocess.Popen([CNNSVC, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        yield server, *wait_until_ready(server)
    finally:
        server.terminate()
        server.wait(timeout=60)
    say(f"The server ended with status {server.returncode}")


def wait_until_ready(server: subprocess.Popen[str]) -> tuple[str, str]:
    assert server.stderr is not None
    addresses: tuple[str, str] | None = None
    for line in server.stderr:
        sys.stdout.write(f"    {line}")
        if found := _ADDRESSES.search(line):
            addresses = found[1], found[2]
        if line.endswith(" ready\n") and addresses:
            threading.Thread(target=pass_on, args=(server,), daemon=True).start()
            return addresses
    raise SystemExit(f"the server ended with status {server.wait()} before it was ready")


def pass_on(server: subprocess.Popen[str]) -> None:
    assert server.stderr is not None
    for line in server.stderr:
        sys.stdout.write(f"    {line}")


def run(*arguments: object) -> None:
    """One command of cnnsvc, printed and run; the demo ends where it fails."""
    words = [str(argument) for argument in arguments]
    show("cnnsvc", *words)
    subprocess.run([CNNSVC, *words], check=True)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as response:
        return str(response.read().decode())


def post_file(file: Path, url: str, *headers: str) -> None:
    """What curl would do with these words, printed with the answer; curl itself is not needed."""
    show("curl", *(word for header in headers for word in ("--header", header)), "--data-binary", f"@{file}", url)
    request = urllib.request.Request(url, data=file.read_bytes(), headers=dict(one.split(": ") for one in headers))
    with urllib.request.urlopen(request, timeout=30) as response:
        sys.stdout.write(f"{response.read().decode()}\n")


def interesting_metrics(exposition: str) -> list[str]:
    wanted = re.compile(r"cnnsvc_(\w+_count|predictions_total|model_info)\{")
    return [f"    {line}\n" for line in exposition.splitlines() if wanted.match(line)]


def say(text: str) -> None:
    sys.stdout.write(f"\n==> {text}\n")
    sys.stdout.flush()


def show(*words: str) -> None:
    sys.stdout.write(f"$ {shlex.join(words)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "120")
    main()
