"""Folders of images on which it is known what a small bundle (tests/bundles.py) answers."""

from pathlib import Path
from typing import Final

import numpy as np

from cnnsvc.model import ModelOptions, load_model
from tests.bundles import CLASS_NAMES
from tests.encoded import encode

NAMES: Final = ("rose", "tulip")


def write_judged_folder(folder: Path, bundle: Path) -> None:
    """Eight images of roses and of tulips, as the bundle answers but for two of each; two broken files, a text."""
    images = [_tiles(seed) for seed in range(80)]
    answers = _answers(bundle, images)
    roses, tulips = ([image for image, name in zip(images, answers, strict=True) if name == one][:8] for one in NAMES)
    assert len(roses) == len(tulips) == 8
    for name, contents in (("rose", [*roses[2:], *tulips[:2]]), ("tulip", [*roses[:2], *tulips[2:]])):
        (folder / name).mkdir()
        for place, content in enumerate(contents):
            (folder / name / f"{place}.png").write_bytes(content)
    (folder / "tulip/broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    (folder / "tulip/link.png").symlink_to("nowhere")
    (folder / "tulip/[red]notes.txt").touch()


def _tiles(seed: int) -> bytes:
    """One random colour a tile, which is what the bundle looks at."""
    colours = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return encode("PNG", np.kron(colours, np.ones((4, 4, 1), np.uint8)))


def _answers(bundle: Path, images: list[bytes]) -> list[str]:
    model = load_model(bundle, ModelOptions())
    try:
        return [CLASS_NAMES[int(model.engine.run(model.decode(image)[None]).argmax())] for image in images]
    finally:
        model.engine.close()
