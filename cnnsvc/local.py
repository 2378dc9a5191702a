"""Classification without a server: a bundle loaded into this process, by the code that the server uses."""

from pathlib import Path

from cnnsvc.classification import Classification
from cnnsvc.model import ModelOptions, load_model
from cnnsvc.ranking import check_top_k, rank


class LocalClassifier:
    def __init__(self, bundle_path: Path, options: ModelOptions) -> None:
        """Raises BundleError, EngineError or UnsupportedError where the bundle must not be used."""
        self._model = load_model(bundle_path, options)

    def classify(self, image_bytes: bytes, top_k: int | None) -> Classification:
        manifest = self._model.manifest
        num_classes = check_top_k(top_k, len(manifest.class_names))
        scores_nk = self._model.engine.run(self._model.decode(image_bytes)[None])
        return Classification(manifest.name, manifest.version, rank(scores_nk[0], manifest.class_names, num_classes))

    def close(self) -> None:
        self._model.engine.close()
