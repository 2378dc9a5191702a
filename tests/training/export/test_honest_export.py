"""What a temperature in the network becomes in its artifacts."""

from pathlib import Path

import numpy as np
import pytest

from cnnsvc.bundle import open_bundle
from cnnsvc.engines.golden import read_golden
from cnnsvc.engines.load import open_engine
from tests.training.runs import quiet_reporter
from training.settings import TrainSettings

pytestmark = pytest.mark.slow


def test_every_artifact_answers_at_the_temperature(tmp_path: Path) -> None:
    """Each form gives softmax(logits / temperature) by itself, and manifest, golden answers and baseline go with it."""
    from tests.training.export.networks import finished_training
    from training.evaluate import predict_scores
    from training.export.bundle import export_bundle
    from training.export.savedmodel import LoadedSavedModel
    from training.honest_network import with_honest_scores
    from training.temperature import with_temperature

    trained = finished_training(tmp_path / "images")
    images_nhwc = trained.validation.images_nhwc
    before_nk = predict_scores(trained.network, images_nhwc, batch_size=8)
    trained = with_honest_scores(trained, TrainSettings(), quiet_reporter())
    assert trained.scores is not None
    temperature = trained.scores.temperature
    assert temperature > 1.5  # random weights are sure of what they do not know
    expected_nk = with_temperature(before_nk, temperature)
    np.testing.assert_allclose(predict_scores(trained.network, images_nhwc, batch_size=8), expected_nk, atol=1e-5)

    path = export_bundle(trained, tmp_path / "models", on_step=lambda step: None)
    manifest = open_bundle(path).manifest
    assert manifest.scores == trained.scores.for_manifest()
    for engine_name in ("openvino", "onnxruntime"):
        engine = open_engine(engine_name, path / "model.onnx", num_threads=1)
        np.testing.assert_allclose(engine.run(images_nhwc), expected_nk, atol=1e-5)
        engine.close()
    saved_model = LoadedSavedModel(path, trained.class_names)
    np.testing.assert_allclose(saved_model.serving_default(images_nhwc), expected_nk, atol=1e-5)
    golden = read_golden(path)
    for artifact, scores_nk in golden.scores.items():
        assert np.max(scores_nk) < expected_nk.max() + 0.05, artifact
    counts = np.histogram(expected_nk.max(axis=1), np.linspace(0, 1, 11))[0]
    assert manifest.baseline.confidence_histogram == counts.tolist()


def test_what_the_run_says(tmp_path: Path) -> None:
    """One line has the temperature, the errors and the threshold; with both switches off the network stays as it is."""
    import io

    from rich.console import Console

    from tests.training.export.networks import finished_training
    from training.honest_network import with_honest_scores
    from training.progress import Reporter

    trained = finished_training(tmp_path / "images")
    weights = trained.network.get_weights()
    said = io.StringIO()
    settings = TrainSettings(calibrate=False, accept_share=1.0)
    found = with_honest_scores(trained, settings, Reporter(Console(file=said))).scores
    assert found is not None
    assert said.getvalue().strip() == found.describe()
    assert said.getvalue().startswith("temperature stays 1, since --no-calibrate asked for it")
    assert found.rejected_strangers == {}
    for before, after in zip(weights, trained.network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
