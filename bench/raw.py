"""Decoding and inference in a loop, without a server, for some seconds; writes one line of JSON for bench.load.

python -m bench.raw BUNDLE ARTIFACT THREADS SECONDS FILE...
"""

import itertools
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.load import percentiles
from cnnsvc import pixels
from cnnsvc.engines.base import Engine
from cnnsvc.engines.load import open_engine
from cnnsvc.manifest import read_manifest


def main() -> None:
    bundle, artifact, num_threads, seconds, *files = sys.argv[1:]
    threads = int(num_threads)
    shape = read_manifest(Path(bundle)).image
    engine = open_engine("openvino", Path(bundle) / artifact, num_threads=threads)
    images = [Path(file).read_bytes() for file in files]
    hwc = shape.height, shape.width, shape.channels
    # The first inference of each request takes tens of milliseconds.
    engine.run(pixels.decode(images[0], *hwc)[None])
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: _loop(engine, hwc, images, 0.3), range(threads)))  # warms up
        started, cpu_started = time.monotonic(), time.process_time()
        loops = list(pool.map(lambda _: _loop(engine, hwc, images, float(seconds)), range(threads)))
        lasted, cpu = time.monotonic() - started, time.process_time() - cpu_started
    durations_ms = list(itertools.chain(*loops))
    p50, p99 = percentiles(durations_ms)
    result = {"num_images": len(durations_ms), "seconds": lasted, "p50_ms": p50, "p99_ms": p99}
    print(json.dumps({**result, "server_cpu_seconds": cpu}))


def _loop(engine: Engine, hwc: tuple[int, int, int], images: list[bytes], seconds: float) -> list[float]:
    durations_ms = []
    started = time.monotonic()
    for image in itertools.cycle(images):
        before = time.monotonic()
        if before - started >= seconds:
            break
        engine.run(pixels.decode(image, *hwc)[None])
        durations_ms.append((time.monotonic() - before) * 1e3)
    return durations_ms


if __name__ == "__main__":
    main()
