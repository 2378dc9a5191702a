"""The pictures of the report page."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tests.encoded import scene
from tests.training.reports import finished, scores_for
from training.report_pictures import MAX_MISTAKES, matrix_picture, most_confident_mistakes, thumbnail


def opened(uri: str) -> Image.Image:
    kind, _, content = uri.partition(";base64,")
    assert kind in ("data:image/jpeg", "data:image/png")
    return Image.open(io.BytesIO(base64.b64decode(content)))


@pytest.mark.parametrize(
    ("shape", "size"), [((400, 200, 3), (64, 128)), ((24, 32, 3), (32, 24)), ((24, 24, 1), (24, 24))]
)
def test_thumbnails(shape: tuple[int, int, int], size: tuple[int, int]) -> None:
    """Large images shrink to 128 pixels, small ones stay, grey ones stay grey; colours are what they were."""
    image = scene(*shape[:2])[..., : shape[2]]
    picture = opened(thumbnail(image))
    assert picture.size == size
    assert picture.mode == ("RGB" if shape[2] == 3 else "L")
    assert np.asarray(picture).mean() == pytest.approx(image.mean(), abs=3)


def test_the_surest_mistakes_come_first() -> None:
    """Mistakes are sorted by the score of the wrong answer, and there are not too many."""
    labels = [0] * 40
    scores_nk = scores_for([1] * 39 + [0], 2)
    scores_nk[:39, 1] = np.linspace(0.6, 0.9, 39)
    mistakes = most_confident_mistakes(finished(["a", "b"], labels), scores_nk)
    assert len(mistakes) == MAX_MISTAKES
    scores = [one.predicted_score for one in mistakes]
    assert scores == sorted(scores, reverse=True)
    first = mistakes[0]
    assert (first.true_name, first.predicted_name, first.file) == ("a", "b", "class 0/photo 38.jpg")
    assert first.predicted_score == pytest.approx(0.9)


def test_the_matrix_of_many_classes() -> None:
    """One pixel a cell; a share of nothing is transparent, the diagonal has a colour of its own."""
    picture = opened(matrix_picture(np.array([[3, 1], [0, 0]])))
    pixels = np.asarray(picture)
    assert pixels.shape == (2, 2, 4)
    assert pixels[0, 0, 3] > pixels[0, 1, 3] > pixels[1, 0, 3] == 0
    assert pixels[0, 0, 2] > pixels[0, 0, 0]
    assert pixels[0, 1, 0] > pixels[0, 1, 2]
