"""Which validation images become the golden ones."""

from pathlib import Path

import numpy as np

from cnnsvc import pixels
from cnnsvc.manifest import ImageShape
from tests.encoded import encode, scene
from training.export.examples import MAX_EXAMPLE_BYTES, MAX_EXAMPLES, choose_examples
from training.trained import Labelled

SHAPE = ImageShape(8, 10, 3)


def split(folder: Path, files: list[tuple[str, int, bytes]]) -> Labelled:
    """(file name, label, content) as a validation split; the rows are not looked at."""
    for name, _, content in files:
        (folder / name).write_bytes(content)
    labels = np.array([label for _, label, _ in files], np.int32)
    return Labelled([folder / name for name, _, _ in files], np.zeros((len(files), 8, 10, 3), np.uint8), labels)


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


def test_only_large_files(tmp_path: Path) -> None:
    """Where every file is over the limit the smallest are taken all the same."""
    validation = split(tmp_path, [("a.png", 0, encode("PNG", scene(10, 10)) + bytes(MAX_EXAMPLE_BYTES))])
    assert choose_examples(validation, ["a"], SHAPE).names == ["000_a.png"]
