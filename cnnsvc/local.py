"""Classification without a server: a bundle loaded into this process, by the code that the server uses."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Final

from cnnsvc.classification import Classification, Image, Key, Outcome, ScoredClass, read_image
from cnnsvc.engines.threads import available_cpus
from cnnsvc.errors import CnnsvcError
from cnnsvc.model import ModelOptions, load_model
from cnnsvc.ranking import check_top_k, rank

NUM_THREADS: Final = min(4, available_cpus())
_WINDOW: Final = 64
"""Images taken and not handed back: what bounds memory."""


class LocalClassifier:
    def __init__(self, bundle_path: Path, options: ModelOptions) -> None:
        """Raises BundleError, EngineError or UnsupportedError where the bundle must not be used."""
        self._model = load_model(bundle_path, options)

    def classify(self, image: Image, top_k: int | None = None) -> Classification:
        manifest = self._model.manifest
        num_classes = check_top_k(top_k, len(manifest.class_names))
        scores_nk = self._model.engine.run(self._model.decode(read_image(image))[None])
        ranked = rank(scores_nk[0], manifest.class_names, num_classes)
        return Classification(
            manifest.name,
            manifest.version,
            tuple(ScoredClass(*scored) for scored in ranked),
            rejected=manifest.rejects(ranked[0][1]),
        )

    def classify_stream(
        self, images: Iterable[tuple[Key, Image]], top_k: int | None = None, *, in_order: bool = True
    ) -> Iterator[tuple[Key, Outcome]]:
        """One outcome an image, by the caller's key; they always come in order."""
        with ThreadPoolExecutor(self._model.engine.num_streams) as threads:
            remaining = iter(images)
            pending: deque[tuple[Key, Future[Outcome]]] = deque()
            while True:
                for key, image in islice(remaining, _WINDOW - len(pending)):
                    pending.append((key, threads.submit(self._outcome, image, top_k)))
                if not pending:
                    return
                key, future = pending.popleft()
                yield key, future.result()

    def close(self) -> None:
        self._model.engine.close()

    def _outcome(self, image: Image, top_k: int | None) -> Outcome:
        try:
            return self.classify(image, top_k)
        except CnnsvcError as error:
            return error
