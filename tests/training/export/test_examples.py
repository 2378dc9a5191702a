"""Which validation images become the golden ones."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from cnnsvc import pixels
from cnnsvc.manifest import ImageShape
from tests.encoded import encode, scene
from training.export.examples import MAX_EXAMPLE_BYTES, MAX_EXAMPLES, choose_examples
from training.originals import sha256_of
from training.trained import Labelled

SHAPE = ImageShape(8, 10, 3)


def split(folder: Path, files: list[tuple[str, int, bytes]]) -> Labelled:
    """(file name, label, content) as a validation split; the rows are not looked at."""
    for name, _, content in files:
        (folder / name).write_bytes(content)
    labels = np.array([label for _, label, _ in files], np.int32)
    rows = np.zeros((len(files), 8, 10, 3), np.uint8)
    hashes = [sha256_of(content) for _, _, content in files]
    return Labelled([folder / name for name, _, _ in files], rows, labels, hashes)


def test_the_smallest_file_of_each_class(tmp_path: Path) -> None:
    """One file a class, the smallest, as it was, with the pixels that the server will see."""
    small, large = encode("PNG", scene(10, 10)), encode("PNG", scene(90, 90))
    validation = split(tmp_path, [("a.png", 1, large), ("b.PNG", 1, small), ("c.png", 0, large)])
    examples = choose_examples(validation, ["rose", "Tulipa × gesneriana"], SHAPE)
    assert examples.names == ["000_rose.png", "001_Tulipa-gesneriana.png"]
    assert examples.files == [large, small]
    expected = [pixels.decode(file, SHAPE.height, SHAPE.width, SHAPE.channels) for file in (large, small)]
    np.testing.assert_array_equal(examples.images_nhwc, expected)


def test_a_class_name_without_ascii_letters(tmp_path: Path) -> None:
    """A name that no ASCII letter is left of becomes a number alone."""
    validation = split(tmp_path, [("花.jpg", 0, encode("JPEG", scene(10, 10)))])
    assert choose_examples(validation, ["花"], SHAPE).names == ["000.jpg"]


def test_many_classes(tmp_path: Path) -> None:
    """Of many classes sixteen are taken, the first and the last among them."""
    image = encode("PNG", scene(10, 10))
    validation = split(tmp_path, [(f"{label}.png", label, image) for label in range(100)])
    examples = choose_examples(validation, [f"c{label}" for label in range(100)], SHAPE)
    assert len(examples.files) == len(set(examples.names)) == MAX_EXAMPLES
    assert (examples.names[0], examples.names[-1]) == ("000_c0.png", "015_c99.png")


def test_large_files_are_avoided(tmp_path: Path) -> None:
    """A class whose files are all over the limit has no golden image while another class has a small one."""
    small = encode("PNG", scene(10, 10))
    validation = split(tmp_path, [("a.png", 0, small + bytes(MAX_EXAMPLE_BYTES)), ("b.png", 1, small)])
    assert choose_examples(validation, ["a", "b"], SHAPE).names == ["000_b.png"]


def test_files_that_are_lost_meanwhile(tmp_path: Path) -> None:
    """A file that has changed since it was decoded gives way to the next of its class, a class without any to none."""
    images = [encode("PNG", scene(10, 10, seed)) for seed in range(4)]
    files = [("a.png", 0, images[0]), ("b.png", 0, images[1] + b"x"), ("c.png", 1, images[2]), ("d.png", 2, images[3])]
    validation = split(tmp_path, files)
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "c.png").unlink()
    examples = choose_examples(validation, ["a", "b", "c"], SHAPE)
    assert examples.names == ["000_a.png", "001_c.png"]
    assert examples.files == [images[1] + b"x", images[3]]


@pytest.mark.parametrize("channels", [1, 3])
def test_no_file_is_left(tmp_path: Path, channels: Literal[1, 3]) -> None:
    """A training whose images have all been moved away has a golden image all the same, of its decoded pixels."""
    rows = np.random.default_rng(0).integers(0, 256, (2, 8, 10, channels), np.uint8)
    validation = Labelled([tmp_path / "a", tmp_path / "b"], rows, np.zeros(2, np.int32), ["", ""])
    examples = choose_examples(validation, ["a"], ImageShape(8, 10, channels))
    assert examples.names == ["000.png"]
    np.testing.assert_array_equal(examples.images_nhwc, rows[:1])


def test_only_large_files(tmp_path: Path) -> None:
    """Where every file is over the limit the smallest are taken all the same."""
    validation = split(tmp_path, [("a.png", 0, encode("PNG", scene(10, 10)) + bytes(MAX_EXAMPLE_BYTES))])
    assert choose_examples(validation, ["a"], SHAPE).names == ["000_a.png"]
