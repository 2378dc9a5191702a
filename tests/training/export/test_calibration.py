"""What calibration gathers about each layer, against the same facts computed plainly."""

import numpy as np
import pytest

from cnnsvc.manifest import ImageShape
from tests.training.export.test_folding import network_with_history

pytestmark = pytest.mark.slow


def test_the_facts_about_each_layer() -> None:
    """The first layer sees the pixels as they are, the others activations; moments are those of the windows."""
    import keras

    from training.export.calibration import calibrate
    from training.export.folding import fold
    from training.export.int8 import weighted

    image = ImageShape(16, 12, 3)
    network = network_with_history("C: 4n 4v D: 5R", image)
    images = np.random.default_rng(2).integers(0, 256, (6, 16, 12, 3), dtype=np.uint8)
    first, second, dense, output = calibrate(network, weighted(fold(network)), images, batch_size=4)

    assert first.highest == images.max()
    assert first.moments is not None
    assert first.moments.mean_k.shape == (27,)
    np.testing.assert_allclose(first.moments.mean_k, images.mean(), atol=12)
    assert np.abs(first.moments.covariance_kk - np.diag(np.diag(first.moments.covariance_kk))).max() < 1200

    relu = keras.Model(network.inputs[0], network.get_layer("convolution_1_relu").output)
    activations = np.asarray(relu(images.astype(np.float32)))
    assert second.highest == pytest.approx(activations.max())
    assert second.moments is not None
    assert second.moments.mean_k.shape == (36,)
    pooled = keras.Model(network.inputs[0], network.get_layer("pooling_1").output)
    assert dense.highest == pytest.approx(np.asarray(pooled(images.astype(np.float32))).max())
    assert dense.moments is None
    assert (dense.values > 0).all()
    assert output.moments is None
