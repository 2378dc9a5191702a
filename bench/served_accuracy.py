"""What a bundle's artifacts that are served for speed cost in accuracy on test images; prints Markdown.

    python -m bench.served_accuracy BUNDLE TEST_FOLDER

TEST_FOLDER holds one folder a class, none of whose images trained the network.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from cnnsvc import pixels
from cnnsvc.bundle import open_bundle
from cnnsvc.engines.load import load_engine, runnable_artifacts
from cnnsvc.errors import CnnsvcError
from cnnsvc.image_files import image_files

REFERENCE = "model.onnx"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("test_folder", type=Path)
    arguments = parser.parse_args()
    bundle = open_bundle(arguments.bundle)
    shape, names = bundle.manifest.image, bundle.manifest.class_names
    files = image_files([arguments.test_folder])
    labels = np.array([names.index(file.parent.name) for file in files])
    decode = pixels.decoder(bundle.manifest.pixels)
    images = np.stack([decode(file.read_bytes(), shape.height, shape.width, shape.channels) for file in files])
    exact = load_engine("openvino", bundle, REFERENCE, num_threads=1).run(images)
    headings = ("artifact", "images", "right", "accuracy", "same class as float32", "largest \\|Δp\\|")
    sys.stdout.write(f"| {' | '.join(headings)} |\n{'|---' * len(headings)}|\n")
    for artifact in runnable_artifacts(bundle):
        try:
            found = load_engine("openvino", bundle, artifact, num_threads=1).run(images)
        except CnnsvcError as error:
            sys.stdout.write(f"| {artifact} | – | – | – | – | {error} |\n")
            continue
        is_right, is_same = found.argmax(1) == labels, found.argmax(1) == exact.argmax(1)
        sys.stdout.write(
            f"| {artifact} | {len(files)} | {is_right.sum()} | {is_right.mean():.3f} | {is_same.mean():.4f} |"
            f" {np.abs(found - exact).max():.1e} |\n"
        )


if __name__ == "__main__":
    main()
