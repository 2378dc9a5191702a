"""Images of several sizes and formats, and some that are none, over both doors; each with what must come of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.bad_images import awkward_images
from bench.photographs import generated
from cnnsvc.load.call import Answer, Caller, Failure, Outcome, Query
from cnnsvc.load.grpc_caller import GrpcCaller
from cnnsvc.load.http_caller import HttpCaller, http_requests
from cnnsvc.load.target import read_target
from cnnsvc.pixels import Pixels
from tests.encoded import encode

UNEXPECTED: Final = "unexpected"
_BAD: Final = ("not an image", "truncated JPEG, half of it", "truncated PNG", "JPEG claims 30000×30000")
_TIMEOUT_MS: Final = 10_000
_CALLERS_PER_CHANNEL: Final = 8


@dataclass(frozen=True)
class Mixture:
    images: list[bytes]
    kinds: list[str]
    """What is expected of each, ok or the kind of its refusal."""

    def callers(self, http_url: str, grpc_address: str, number: int) -> list[Caller]:
        """HTTP and gRPC in turn: a connection for each of HTTP, a channel for eight of gRPC."""
        query, target = Query(self.images, timeout_ms=_TIMEOUT_MS), read_target(http_url, is_stream=False)
        requests = http_requests(target, query)
        callers: list[Caller] = []
        for index in range(number // 2):
            if index % _CALLERS_PER_CHANNEL == 0:
                channel = ExpectingCaller(GrpcCaller(grpc_address, query), self.kinds)
            callers += [ExpectingCaller(HttpCaller(target, requests, 2 * _TIMEOUT_MS), self.kinds), channel]
        return callers


class ExpectingCaller:
    """Every outcome but the expected one becomes a failure of kind UNEXPECTED; a refusal may be what is expected."""

    def __init__(self, caller: Caller, kinds: Sequence[str]) -> None:
        self._caller = caller
        self._kinds = kinds

    async def ask(self, place: int) -> Outcome:
        outcome = await self._caller.ask(place)
        kind = "ok" if isinstance(outcome, Answer) else outcome.kind
        if kind == self._kinds[place]:
            return outcome
        status = outcome.status if isinstance(outcome, Failure) else "ok"
        return Failure(status, UNEXPECTED, f"{outcome}; expected {self._kinds[place]}")

    async def close(self) -> None:
        await self._caller.close()


def make_mixture() -> Mixture:
    """An odd number of images, so that each comes over either door where the doors take turns."""
    small = [encode("JPEG", _pixels(seed, 180, 180)) for seed in range(7)]
    others = [
        encode("JPEG", _pixels(7, 640, 480)),
        encode("JPEG", _pixels(8, 1600, 1200), quality=80),
        encode("JPEG", _pixels(9, 800, 600), progressive=True),
        encode("JPEG", _pixels(10, 320, 240)[:, :, 0]),
        encode("PNG", _pixels(11, 320, 240)),
        encode("PNG", _pixels(12, 90, 120)[:, :, 0]),
        encode("WEBP", _pixels(13, 640, 480)),
        encode("BMP", _pixels(14, 200, 150)),
        encode("GIF", _pixels(15, 160, 120)),
    ]
    awkward, images = awkward_images(), [(image, "ok") for image in small + others]
    for place, name in enumerate(_BAD):
        images.insert(5 * place, awkward[name])
    if len(images) % 2 == 0:
        images.append((small[0], "ok"))
    return Mixture([image for image, _ in images], [kind for _, kind in images])


def _pixels(seed: int, width: int, height: int) -> Pixels:
    return np.asarray(generated(seed).resize((width, height)))
