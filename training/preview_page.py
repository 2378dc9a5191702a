"""The page of a preview: each image as the network sees it and as training draws it, with the flags that made it so.

It asks nothing of any other file or server, and names are escaped, as on the page of an inspection.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cnnsvc import pixels
from cnnsvc.manifest import ImageShape
from training.page_templates import template
from training.preview import Sample, views_of
from training.report_pictures import exact_picture, thumbnail
from training.settings import TrainSettings

_SMALL_SIDE: Final = 96
"""Up to here every pixel is shown, without the losses of JPEG."""
_MAX_SIDE: Final = 224


@dataclass(frozen=True)
class Row:
    class_name: str
    file: str
    original: str
    """A data URI, as are the views."""
    views: list[str]


def preview_page(path: Path, samples: list[Sample], num_hidden: int, image: ImageShape, settings: TrainSettings) -> str:
    """HTML of one section an image; loads TensorFlow, which draws the views."""
    views = views_of(samples, settings)
    return template("preview_page.html.j2").render(
        title=path.resolve().name,
        rows=[
            Row(sample.class_name, sample.file, _picture(sample.image_hwc), [_picture(view) for view in drawn])
            for sample, drawn in zip(samples, views, strict=True)
        ],
        num_hidden=num_hidden,
        image=image,
        settings=settings,
        changes=_changes(settings),
        is_small=image.width <= _SMALL_SIDE,
    )


def _picture(image_hwc: pixels.Pixels) -> str:
    return exact_picture(image_hwc) if image_hwc.shape[1] <= _SMALL_SIDE else thumbnail(image_hwc, _MAX_SIDE)


def _changes(settings: TrainSettings) -> list[tuple[str, str]]:
    """What is changed and how far; nothing where nothing is."""
    from training.augment import RANGES  # loads TensorFlow

    if settings.augment == "none" or settings.augment_strength == 0:
        return []
    ranges = RANGES[settings.augment].times(settings.augment_strength)
    reaches = [
        ("rotation", 360 * ranges.turns, "°"),
        ("zoom", 100 * ranges.zoom, " %"),
        ("shift", 100 * ranges.shift, " %"),
        ("contrast", 100 * ranges.contrast, " %"),
        ("brightness", 100 * ranges.brightness, " %"),
    ]
    return [("left-right flip", "half of all"), *((what, f"± {far:.3g}{unit}") for what, far, unit in reaches if far)]
