"""CPU of one image in OpenVINO: the bundle's artifacts beside what onnxruntime's quantiser makes of the same network.

    python -m bench.int8_engine BUNDLE TRAINING_FOLDER TEST_FOLDER [--rounds 9]

The plain file is that of quantize_static (QDQ, per channel, uint8 activations, int8 weights) from model.onnx,
calibrated on 100 training images, in OpenVINO as it comes but for float32. One thread, one image at a time, alternating
rounds; prints Markdown with medians, and how often each agrees with float32 on the test images.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from cnnsvc import pixels
from cnnsvc.bundle import Bundle, open_bundle
from cnnsvc.engines.base import Images, Scores
from cnnsvc.engines.load import load_engine, runnable_artifacts
from cnnsvc.engines.runtimes import import_openvino
from cnnsvc.image_files import image_files

NUM_CALIBRATION = 100
NUM_IMAGES = 60
"""In a round."""
PLAIN = "the quantiser's own file"
REFERENCE = "model.onnx"

Run = Callable[[Images], Scores]


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    def __init__(self, images_nhwc: Images) -> None:
        self._images: Iterator[Any] = iter(images_nhwc)

    def get_next(self) -> dict[str, Images] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("training_folder", type=Path)
    parser.add_argument("test_folder", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    bundle = open_bundle(arguments.bundle)
    images = _decoded(bundle, image_files([arguments.test_folder]))
    runs: dict[str, Run] = {
        name: load_engine("openvino", bundle, name, num_threads=1).run for name in runnable_artifacts(bundle)
    }
    training_files = image_files([arguments.training_folder])
    calibration = _decoded(bundle, training_files[:: max(1, len(training_files) // NUM_CALIBRATION)][:NUM_CALIBRATION])
    runs[PLAIN] = _plain(bundle, calibration)
    milliseconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            milliseconds[name].append(_milliseconds(run, images))
    exact = _scores(runs[REFERENCE], images)
    sys.stdout.write(
        "| in OpenVINO | CPU ms an image | images/s a core | of the quantiser's | same class as float32 |\n"
    )
    sys.stdout.write("|---|---:|---:|---:|---:|\n")
    for name, run in runs.items():
        typical = statistics.median(milliseconds[name])
        gain = statistics.median(
            plain / own for plain, own in zip(milliseconds[PLAIN], milliseconds[name], strict=True)
        )
        is_same = _scores(run, images).argmax(1) == exact.argmax(1)
        sys.stdout.write(f"| {name} | {typical:.2f} | {1000 / typical:.0f} | {gain:.2f} | {is_same.mean():.4f} |\n")


def _decoded(bundle: Bundle, files: list[Path]) -> Images:
    shape, decode = bundle.manifest.image, pixels.decoder(bundle.manifest.pixels)
    return np.stack([decode(file.read_bytes(), shape.height, shape.width, shape.channels) for file in files])


def _plain(bundle: Bundle, calibration_nhwc: Images) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plain.onnx"
        quantize_static(
            str(bundle.path / REFERENCE),
            str(path),
            _Reader(calibration_nhwc),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        config = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1}
        request = import_openvino().Core().compile_model(str(path), "CPU", config).create_infer_request()
    return lambda images_nhwc: request.infer({0: images_nhwc}, share_inputs=True)[0]


def _milliseconds(run: Run, images_nhwc: Images) -> float:
    for _ in range(5):
        run(images_nhwc[:1])
    started = time.process_time()
    for index in range(NUM_IMAGES):
        run(images_nhwc[index % len(images_nhwc)][None])
    return 1000 * (time.process_time() - started) / NUM_IMAGES


def _scores(run: Run, images_nhwc: Images) -> Scores:
    return np.concatenate([run(image[None]).copy() for image in images_nhwc])


if __name__ == "__main__":
    main()
