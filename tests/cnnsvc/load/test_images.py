"""The images that a load sends."""

import io
from pathlib import Path

import pytest
from PIL import Image

from cnnsvc.errors import InvalidError
from cnnsvc.load.images import make_images, read_images


def test_made_images_have_the_size_and_the_bytes_of_photographs() -> None:
    """Different JPEGs of the size asked for, of 0.1 to 0.6 bytes a pixel."""
    made = make_images("200x100")
    assert len(set(made.images)) == 4
    for image in made.images:
        opened = Image.open(io.BytesIO(image))
        assert (opened.format, opened.size) == ("JPEG", (200, 100))
        assert 0.1 < len(image) / (200 * 100) < 0.6
    assert made.description.startswith("4 made JPEGs of 200x100, ")


@pytest.mark.parametrize("size", ["", "180", "0x5", "5x00", "-1x5", "1x2x3", "99999x1", "1x4097"])
def test_sizes_that_are_none(size: str) -> None:
    """A size is two numbers from 1 to 4096."""
    with pytest.raises(InvalidError, match="expected WIDTHxHEIGHT"):
        make_images(size)


def test_images_of_a_folder(tmp_path: Path) -> None:
    """All of them as they are, in order, whatever is in them."""
    for index in range(3):
        (tmp_path / f"{index}.jpg").write_bytes(b"%d" % index * 1000)
    read = read_images([tmp_path])
    assert read.images == [b"0" * 1000, b"1" * 1000, b"2" * 1000]
    assert read.description == "3 images, 1.0 KB each in the mean"


def test_a_large_folder_is_thinned_evenly(tmp_path: Path) -> None:
    """Where memory should not hold all, every class of a sorted folder still has its share."""
    for index in range(10):
        (tmp_path / f"{index}.jpg").write_bytes(b"%d" % index * 100)
    read = read_images([tmp_path], limit_bytes=300)
    assert [image[:1] for image in read.images] == [b"0", b"4", b"8"]
    assert read.description.startswith("3 of 10 images")


def test_a_file_that_no_message_holds(tmp_path: Path) -> None:
    """Is named before the load begins."""
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(40 * 1024 * 1024)
    with pytest.raises(InvalidError, match=r"huge\.jpg: the image has 41943040 bytes"):
        read_images([tmp_path])
