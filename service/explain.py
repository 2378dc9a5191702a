"""Why one image was classified so: its score with patches of it covered, through the batcher that answers all calls.

An explanation is some hundred inferences, so only one is made at a time and few of its images wait at once: they share
the streams with ordinary calls and do not fill their queue. Nothing of it is counted as a prediction.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cnnsvc.errors import LateError, NotFoundError, NotReadyError, OverloadedError
from cnnsvc.heat_image import heat_png
from cnnsvc.occlusion import Explanation, check_class_name, class_place, heat_of, occluded, plan_grid
from cnnsvc.pixels import Pixels
from service.batcher import Inference
from service.predictor import Predictor, Query
from service.registry import Registry, ServedModel

_MOST_CALLS: Final = 4
"""Explanations under way or waiting for their turn; those behind them would only wait for the end of their time."""
_IN_FLIGHT: Final = 2
"""Images for each stream: one that it works on and one to go on with."""


@dataclass(frozen=True, slots=True)
class Explained:
    explanation: Explanation
    heat_png: bytes
    """RGBA, of the size of the network's input."""
    decode_seconds: float
    inference_seconds: float
    """From the first to the last, waits included."""
    total_seconds: float


class _GoneError(Exception):
    """The version was let go, or loaded anew, in the middle of an explanation."""


class Explainer:
    """Lives on the event loop."""

    def __init__(self, predictor: Predictor, registry: Registry) -> None:
        self._predictor = predictor
        self._registry = registry
        self._turn = asyncio.Lock()
        self._num_calls = 0

    async def explain(self, query: Query, class_name: str, budget: int) -> Explained:
        """For a query of one encoded image; "" explains its best class, at most `budget` inferences are made.

        Raises CnnsvcError of the kinds that Predictor.classify does.
        """
        started = time.monotonic()
        [image] = query.images
        assert isinstance(image, bytes)
        assert query.deadline is not None
        if query.record is not None:
            query.record.images = [image]
        self._predictor.require_room(query, len(image))
        self._served(query, class_name)
        if self._num_calls >= _MOST_CALLS:
            raise OverloadedError(f"{self._num_calls} explanations are under way or wait; allowed are {_MOST_CALLS}")
        self._num_calls += 1
        self._predictor.admission.add(1, len(image))
        try:
            async with asyncio.timeout(query.deadline - started), self._turn:
                while True:
                    with contextlib.suppress(_GoneError):  # what answers now explains it from the start
                        return await self._explain(query, image, class_name, budget, started)
        except TimeoutError:
            milliseconds = 1000 * (query.deadline - started)
            raise LateError(f"the explanation was not there within {milliseconds:.0f} ms") from None
        finally:
            self._num_calls -= 1
            self._predictor.admission.release(1, len(image))

    def _served(self, query: Query, class_name: str) -> ServedModel:
        served = self._registry.get(query.model, query.version, query.label)
        check_class_name(served.manifest.class_names, class_name)
        return served

    async def _explain(self, query: Query, image: bytes, class_name: str, budget: int, started: float) -> Explained:
        served = self._served(query, class_name)
        manifest = served.manifest
        if query.record is not None:
            query.record.model, query.record.version = manifest.name, manifest.version
        assert query.deadline is not None
        decoding = time.monotonic()
        image_hwc = await asyncio.to_thread(served.model.decode, image)
        inferring = time.monotonic()
        shape = manifest.image
        grid = plan_grid(shape.height, shape.width, budget)
        [whole] = await self._infer(served, [image_hwc], query.deadline)
        place = class_place(manifest.class_names, whole.scores_k.tolist(), class_name)
        covered = await self._infer(served, occluded(image_hwc, grid), query.deadline)
        ended = time.monotonic()
        score = float(whole.scores_k[place])
        heat = heat_of(grid, score, [float(one.scores_k[place]) for one in covered])
        name = manifest.class_names[place]
        rejected = manifest.rejects(float(whole.scores_k.max()))
        if query.record is not None:
            query.record.results, query.record.rejected = [[(name, score)]], frozenset([0] if rejected else [])
        return Explained(
            Explanation(manifest.name, manifest.version, name, score, grid, heat, rejected),
            await asyncio.to_thread(heat_png, heat, shape.height, shape.width),
            decode_seconds=inferring - decoding,
            inference_seconds=ended - inferring,
            total_seconds=time.monotonic() - started,
        )

    async def _infer(self, served: ServedModel, images: Iterable[Pixels], deadline: float) -> list[Inference]:
        """In the order of the images, of which only a few are with the batcher at once."""
        most = _IN_FLIGHT * served.model.engine.num_streams
        found: list[Inference] = []
        waiting: deque[asyncio.Future[Inference]] = deque()
        try:
            for image_hwc in images:
                if len(waiting) == most:
                    found.append(await waiting.popleft())
                self._require_served(served)
                waiting.append(served.batcher.submit(image_hwc, deadline))
            while waiting:
                found.append(await waiting.popleft())
        finally:
            while waiting:
                answer = waiting.pop()
                if not answer.cancel():  # it failed as the one before it did
                    answer.exception()
        return found

    def _require_served(self, served: ServedModel) -> None:
        """Raises _GoneError once the version has gone: nobody may ask its batcher any more."""
        manifest = served.manifest
        try:
            is_served = self._registry.get(manifest.name, manifest.version) is served
        except (NotFoundError, NotReadyError):
            is_served = False
        if not is_served:
            raise _GoneError
