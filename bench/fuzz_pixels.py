"""Coverage-guided fuzzing of the pixel function, by hand: it runs until it finds a crash or its time is over.

    python -m venv FUZZ && FUZZ/bin/pip install -r requirements/serve.txt atheris
    FUZZ/bin/python -m bench.fuzz_pixels CORPUS_FOLDER -max_total_time=600 -max_len=4096 -rss_limit_mb=2048 -timeout=10

Arguments after the folder are libFuzzer's. An empty or missing folder is filled with small images of every format
first; new inputs are added to it, and what ends the process is left in the working directory as crash-*, oom-* or
timeout-*. Only ImageError and TooLargeError are expected. Coverage is that of the Python code, Pillow's parsers
included; the decoders in C are exercised and watched for crashes, time and memory only.
"""

import io
import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]  # it is not installed where types are checked
import numpy as np
from PIL import Image

from cnnsvc.errors import ImageError, TooLargeError

with atheris.instrument_imports(include=["cnnsvc", "PIL"]):
    from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

    from cnnsvc import pixels

HEIGHT, WIDTH = 12, 16
LIMIT_PIXELS = 1_000_000


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        _write_seeds(folder)
    atheris.Setup(sys.argv, decode_once)
    atheris.Fuzz()


def decode_once(image_bytes: bytes) -> None:
    """Ends in pixels of the right shape or in one of the two expected errors."""
    for channels in (3, 1):
        try:
            found = pixels.decode(image_bytes, HEIGHT, WIDTH, channels, limit_pixels=LIMIT_PIXELS)
        except (ImageError, TooLargeError):
            return
        assert found.shape == (HEIGHT, WIDTH, channels)
        assert found.dtype == np.uint8


def _write_seeds(folder: Path) -> None:
    oriented = Image.Exif()
    oriented[0x0112] = 6
    grey, colour = Image.linear_gradient("L").resize((20, 14)), Image.effect_noise((20, 14), 60).convert("RGB")
    animation = {"save_all": True, "append_images": [grey.convert("RGB")]}
    seeds: list[tuple[str, Image.Image, dict[str, object]]] = [
        ("JPEG", colour, {"exif": oriented}),
        ("JPEG", colour, {"progressive": True, "restart_marker_rows": 1}),
        ("JPEG", colour, {"subsampling": 0}),
        ("JPEG", colour.convert("CMYK"), {}),
        ("JPEG", grey, {}),
        ("PNG", colour, {"exif": oriented}),
        ("PNG", colour, animation),
        ("PNG", grey.convert("I;16"), {}),
        ("PNG", grey.convert("1"), {}),
        ("PNG", colour.convert("P"), {"transparency": 3}),
        ("PNG", grey.convert("LA"), {}),
        ("WEBP", colour, {"exif": oriented}),
        ("WEBP", colour, {"lossless": True}),
        ("WEBP", colour, animation),
        ("BMP", colour, {}),
        ("BMP", colour.convert("P"), {}),
        ("GIF", colour, animation),
        ("GIF", grey, {"interlace": 1}),
    ]
    for index, (image_format, image, options) in enumerate(seeds):
        stream = io.BytesIO()
        image.save(stream, image_format, **options)
        (folder / f"seed-{index:02}-{image_format.lower()}").write_bytes(stream.getvalue())


if __name__ == "__main__":
    main()
