"""The arithmetic of occlusion maps, and the pictures made of them."""

import io

import numpy as np
import pytest
from PIL import Image

from cnnsvc.errors import InvalidError
from cnnsvc.heat_image import heat_png, overlay_png
from cnnsvc.occlusion import (
    LEAST_BUDGET,
    Box,
    class_place,
    heat_of,
    occluded,
    plan_grid,
    strongest,
)
from tests.encoded import encode

SIZES = [(24, 32), (32, 32), (180, 180), (224, 160), (1, 5), (2000, 17)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("budget", [LEAST_BUDGET, 50, 200, 1024])
def test_the_grid_is_the_finest_that_the_budget_allows(size: tuple[int, int], budget: int) -> None:
    """It stays within the budget, its cells are about square, and every pixel is under some patch."""
    grid = plan_grid(*size, budget)
    assert grid.num_inferences == 1 + grid.height * grid.width <= budget
    covered = np.zeros(size, int)
    for top, left, bottom, right in grid.boxes():
        assert 0 <= top < bottom <= size[0]
        assert 0 <= left < right <= size[1]
        assert max(bottom - top, right - left) <= grid.patch
        covered[top:bottom, left:right] += 1
    assert covered.min() >= 1
    finer = plan_grid(*size, 4 * budget)
    assert finer.num_inferences >= grid.num_inferences


def test_the_default_on_a_common_size() -> None:
    """A network of 180 x 180 gets a map of 14 x 14, with patches that reach into half of their neighbours."""
    grid = plan_grid(180, 180, 200)
    assert (grid.height, grid.width, grid.patch, grid.num_inferences) == (14, 14, 26, 197)
    assert grid.box(0, 0) == Box(0, 0, 19, 19)
    assert grid.box(13, 13) == Box(161, 161, 180, 180)


def test_a_patch_has_the_mean_of_its_image() -> None:
    """Each image is the original but for one patch, which has the channels' means; the original stays as it is."""
    original = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    kept = original.copy()
    grid = plan_grid(12, 16, LEAST_BUDGET)
    mean = np.rint(original.reshape(-1, 3).mean(axis=0))
    images = list(occluded(original, grid))
    assert len(images) == grid.num_inferences - 1
    for box, image in zip(grid.boxes(), images, strict=True):
        inside = np.zeros((12, 16), bool)
        inside[box.top : box.bottom, box.left : box.right] = True
        assert (image[inside] == mean).all()
        assert (image[~inside] == original[~inside]).all()
    assert (original == kept).all()


def test_grey_images_are_occluded_too() -> None:
    """One channel is as good as three."""
    images = list(occluded(np.full((8, 8, 1), 7, np.uint8), plan_grid(8, 8, LEAST_BUDGET)))
    assert {image.shape for image in images} == {(8, 8, 1)}
    assert {int(image.max()) for image in images} == {7}


def test_the_map_peaks_where_the_score_comes_from() -> None:
    """A score that is the brightness of one corner falls where that corner is covered, and nowhere else."""
    image = np.zeros((32, 32, 3), np.uint8)
    image[20:26, 4:10] = 255
    grid = plan_grid(32, 32, 200)

    def score(image_hwc: np.ndarray) -> float:
        return float(image_hwc[20:26, 4:10].mean()) / 255

    heat = heat_of(grid, score(image), [score(one) for one in occluded(image, grid)])
    assert (len(heat), len(heat[0])) == (grid.height, grid.width)
    [first, *_] = regions = strongest(grid, heat)
    assert first.drop == max(map(max, heat)) > 0.75
    assert first.box.top <= 23 < first.box.bottom
    assert first.box.left <= 7 < first.box.right
    for row, drops in enumerate(heat):
        for column, drop in enumerate(drops):
            box = grid.box(row, column)
            is_over = box.top < 26 and box.bottom > 20 and box.left < 10 and box.right > 4
            assert (drop > 0) == is_over
    for one in regions:
        for other in regions:
            assert one is other or not (
                one.box.top < other.box.bottom
                and other.box.top < one.box.bottom
                and one.box.left < other.box.right
                and other.box.left < one.box.right
            )


def test_nothing_is_strong_where_the_score_never_falls() -> None:
    """A score that only rises has no region to show."""
    grid = plan_grid(8, 8, LEAST_BUDGET)
    heat = heat_of(grid, 0.5, [0.5, 0.75] * ((grid.num_inferences - 1) // 2) + [0.5])
    assert strongest(grid, heat) == []


def test_the_class_to_explain() -> None:
    """The best one unless it is named; a name that is none is told with those that are."""
    names, scores = ["daisy", "rose", "tulip"], [0.2, 0.5, 0.3]
    assert class_place(names, scores, "") == 1
    assert class_place(names, scores, "tulip") == 2
    with pytest.raises(InvalidError, match="'lily'; expected one of daisy, rose, tulip"):
        class_place(names, scores, "lily")


def test_the_picture_of_a_map() -> None:
    """It has the asked size; red over what speaks for the class, blue against it, clear where nothing changes."""
    found = np.asarray(Image.open(io.BytesIO(heat_png([[0.4, 0.0, -0.4]], 10, 90))))
    assert found.shape == (10, 90, 4)
    red, clear, blue = found[5, 5], found[5, 45], found[5, 85]
    assert red[0] > red[2]
    assert red[3] > 150
    assert clear[3] < 10
    assert blue[2] > blue[0]
    assert blue[3] > 150


def test_small_falls_stay_pale() -> None:
    """Where nothing matters, noise is not drawn as if it did."""
    found = np.asarray(Image.open(io.BytesIO(heat_png([[0.0001, -0.0001]], 4, 4))))
    assert found[..., 3].max() < 10


def test_the_map_over_its_image() -> None:
    """The overlay has the image's own size and colours where the map is clear; what is no image is told."""
    image = np.full((30, 40, 3), 100, np.uint8)
    found = np.asarray(Image.open(io.BytesIO(overlay_png(encode("PNG", image), [[0.5, 0.0]]))))
    assert found.shape == (30, 40, 4)
    assert tuple(found[15, 38, :3]) == (100, 100, 100)
    assert found[15, 2, 0] > 150
    with pytest.raises(InvalidError, match="cannot be drawn on"):
        overlay_png(b"no image", [[0.5]])
