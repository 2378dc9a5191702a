"""training/batch_norm.py: the fused kernel trains as Keras' own layer does."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # it loads TensorFlow


@pytest.mark.parametrize("shape", [(8, 5, 5, 3), (8, 3)])
def test_it_normalises_and_moves_its_averages_as_keras_does(shape: tuple[int, ...]) -> None:
    """Outputs, gradients and moving averages are Keras', but for the variance being that of a sample."""
    import keras
    import tensorflow as tf

    from training.batch_norm import BatchNormalization

    inputs = tf.constant(np.random.default_rng(1).normal(2, 3, shape).astype(np.float32))
    found = []
    for layer in (BatchNormalization(momentum=0.5), keras.layers.BatchNormalization(momentum=0.5)):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(outputs**3)
        gradient = tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])
        # A second pass, without training, answers by the moving averages.
        found.append([outputs, *gradient, layer.moving_mean, layer(inputs, training=False)])
        found[-1].append(layer.moving_variance)
    *ours, our_variance = (np.asarray(one) for one in found[0])
    *theirs, their_variance = (np.asarray(one) for one in found[1])
    for one, other in zip(ours[:-1], theirs[:-1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    count = np.prod(shape[:-1])
    sample = 0.5 + (their_variance - 0.5) * (count / (count - 1) if len(shape) == 4 else 1)
    np.testing.assert_allclose(our_variance, sample, rtol=1e-4)
    np.testing.assert_allclose(ours[-1], theirs[-1], rtol=0.01, atol=0.02)


def test_it_trains_in_bfloat16_with_weights_in_float32() -> None:
    """Under mixed precision activations are bfloat16; averages and gains stay float32."""
    import keras

    from training.batch_norm import BatchNormalization

    layer = BatchNormalization(dtype="mixed_bfloat16")
    outputs = layer(np.ones((2, 4, 4, 3), np.float32), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    assert {weight.dtype for weight in layer.weights} == {"float32"}
