"""AsyncClient behind the methods of Client, so that one test holds both to the same promises."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from cnnsvc.classification import Classification, Image, Key, Outcome
from cnnsvc.client import AsyncClient, ModelDescription


class DrivenClient:
    def __init__(self, address: str, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = self._runner.run(_made(address, options))

    def classify(self, image: Image, top_k: int | None = None) -> Classification:
        return self._runner.run(self._client.classify(image, top_k))

    def classify_many(self, images: Iterable[Image], top_k: int | None = None) -> list[Classification]:
        return self._runner.run(self._client.classify_many(images, top_k))

    def classify_stream(
        self, images: Iterable[tuple[Key, Image]], top_k: int | None = None, *, in_order: bool = False
    ) -> Iterator[tuple[Key, Outcome]]:
        return self._drive(self._client.classify_stream(images, top_k, in_order=in_order))

    def classify_folder(
        self, folder: str | Path, top_k: int | None = None, *, in_order: bool = False
    ) -> Iterator[tuple[Path, Outcome]]:
        return self._drive(self._client.classify_folder(folder, top_k, in_order=in_order))

    def get_model(self) -> ModelDescription:
        return self._runner.run(self._client.get_model())

    def list_models(self) -> list[ModelDescription]:
        return self._runner.run(self._client.list_models())

    def is_ready(self) -> bool:
        return self._runner.run(self._client.is_ready())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    def _drive(self, outcomes: AsyncIterator[tuple[Key, Outcome]]) -> Iterator[tuple[Key, Outcome]]:
        try:
            while (found := self._runner.run(_next(outcomes))) is not None:
                yield found
        finally:
            self._runner.run(_close(outcomes))


async def _made(address: str, options: dict[str, Any]) -> AsyncClient:
    return AsyncClient(address, **options)


async def _next(outcomes: AsyncIterator[tuple[Key, Outcome]]) -> tuple[Key, Outcome] | None:
    return await anext(outcomes, None)


async def _close(outcomes: Any) -> None:
    await outcomes.aclose()
