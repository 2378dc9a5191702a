"""What the service holds, in images and in encoded bytes, against its limits: only counting, on the event loop."""

import asyncio

from cnnsvc.errors import OverloadedError


class Admission:
    def __init__(self, *, limit_images: int, limit_bytes: int) -> None:
        self.num_images = 0
        """Admitted and not yet answered."""
        self.num_bytes = 0
        """Of those images, encoded, and of HTTP bodies as far as they have been received."""
        self._limit_images = limit_images
        self._limit_bytes = limit_bytes
        self._is_released = asyncio.Event()

    def has_room(self, num_images: int, num_bytes: int) -> bool:
        return self.num_images + num_images <= self._limit_images and self.num_bytes + num_bytes <= self._limit_bytes

    def is_within_limits(self, num_images: int, num_bytes: int) -> bool:
        """Whether there would be room if nothing else were held."""
        return num_images <= self._limit_images and num_bytes <= self._limit_bytes

    def require_room(self, num_images: int, num_bytes: int, *, retry_after_seconds: float = 1.0) -> None:
        """Raises OverloadedError where these are too many beside what is held."""
        if self.num_images + num_images > self._limit_images:
            raise OverloadedError(
                f"{num_images} images came and {self.num_images} wait for an answer;"
                f" the limit is {self._limit_images} (queue_limit)",
                retry_after_seconds,
            )
        if self.num_bytes + num_bytes > self._limit_bytes:
            raise OverloadedError(
                f"{num_bytes} bytes came and {self.num_bytes} bytes are held;"
                f" the limit is {self._limit_bytes} (queue_limit_bytes)",
                retry_after_seconds,
            )

    def add(self, num_images: int, num_bytes: int) -> None:
        """Counts them as held until they are released."""
        self.num_images += num_images
        self.num_bytes += num_bytes

    def release(self, num_images: int, num_bytes: int) -> None:
        self.num_images -= num_images
        self.num_bytes -= num_bytes
        self._is_released.set()

    async def wait_for_release(self) -> None:
        """Until something that is held now is released."""
        self._is_released.clear()
        await self._is_released.wait()
