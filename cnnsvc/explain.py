"""An explanation of one image, by a running server or by a bundle in this process."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

from cnnsvc.door_client import DoorClient
from cnnsvc.engines.base import Scores
from cnnsvc.errors import NotReadyError
from cnnsvc.model import Model, ModelOptions, load_model
from cnnsvc.occlusion import Explanation, Grid, check_class_name, class_place, heat_of, occluded, plan_grid
from cnnsvc.pixels import Pixels


def explain_remotely(door: DoorClient, image_bytes: bytes, parameters: dict[str, str | int]) -> Explanation:
    """`parameters` are those of POST /api/v1/explain. Raises CnnsvcError."""
    path = f"/api/v1/explain?{urlencode(parameters)}"
    answer = door.ask("POST", path, image_bytes, "application/octet-stream")
    try:
        grid = Grid(
            answer["input_height"],
            answer["input_width"],
            answer["grid_height"],
            answer["grid_width"],
            answer["patch_size"],
        )
        return Explanation(
            answer["model"],
            answer["version"],
            answer["class_name"],
            answer["score"],
            grid,
            answer["heat"],
            answer.get("rejected", False),
        )
    except KeyError as error:
        raise NotReadyError(f"{door.address} answers without {error}; is it an older one?") from None


def explain_locally(
    bundle: Path, options: ModelOptions, image_bytes: bytes, class_name: str, budget: int
) -> Explanation:
    """With every stream of the bundle's engine. Raises CnnsvcError."""
    model = load_model(bundle, options)
    try:
        manifest = model.manifest
        check_class_name(manifest.class_names, class_name)
        image_hwc = model.decode(image_bytes)
        grid = plan_grid(manifest.image.height, manifest.image.width, budget)
        whole = model.engine.run(image_hwc[None])[0]
        place = class_place(manifest.class_names, whole.tolist(), class_name)
        scores = [float(scores_k[place]) for scores_k in _infer(model, occluded(image_hwc, grid))]
    finally:
        model.engine.close()
    score = float(whole[place])
    heat = heat_of(grid, score, scores)
    rejected = manifest.rejects(float(whole.max()))
    return Explanation(manifest.name, manifest.version, manifest.class_names[place], score, grid, heat, rejected)


def _infer(model: Model, images: Iterator[Pixels]) -> Iterator[Scores]:
    """In the order of the images."""
    with ThreadPoolExecutor(model.engine.num_streams) as threads:
        yield from threads.map(lambda image_hwc: model.engine.run(image_hwc[None])[0], images)
