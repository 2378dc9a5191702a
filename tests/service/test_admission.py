"""What is held is counted in images and in bytes, and what does not fit is refused in so many words."""

import asyncio

import pytest

from cnnsvc.errors import OverloadedError
from service.admission import Admission


@pytest.mark.parametrize(
    ("num_images", "num_bytes", "message"),
    [
        (3, 1, r"^3 images came and 2 wait for an answer; the limit is 4 \(queue_limit\)$"),
        (1, 61, r"^61 bytes came and 40 bytes are held; the limit is 100 \(queue_limit_bytes\)$"),
    ],
)
async def test_each_limit_refuses(num_images: int, num_bytes: int, message: str) -> None:
    """What came, what is held and the limit are named, with when to come again; one less of each has room."""
    admission = Admission(limit_images=4, limit_bytes=100)
    admission.add(2, 40)
    assert admission.has_room(2, 60)
    admission.require_room(2, 60)
    assert not admission.has_room(num_images, num_bytes)
    with pytest.raises(OverloadedError, match=message) as refused:
        admission.require_room(num_images, num_bytes, retry_after_seconds=2.5)
    assert refused.value.retry_after_seconds == 2.5
    assert (admission.num_images, admission.num_bytes) == (2, 40)


async def test_who_waits_hears_of_every_release() -> None:
    """All who wait are told when something is released, and none is told of an earlier release."""
    admission = Admission(limit_images=4, limit_bytes=100)
    admission.add(2, 60)
    admission.release(1, 30)
    waiting = [asyncio.create_task(admission.wait_for_release()) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert not any(task.done() for task in waiting)
    admission.release(1, 30)
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert (admission.num_images, admission.num_bytes) == (0, 0)
