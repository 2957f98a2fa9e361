"""Steps are gradient descent on the mean loss of each batch, one after another."""

import keras
import numpy as np
import pytest

from mlob.errors import InputError
from mlob.models import losses
from mlob.training import steps

RATE = 0.5


@pytest.fixture
def chunk():
    """Features (3, 8, 4) and targets (3, 8, 2): three batches."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(3, 8, 4)).astype(np.float32)
    return features, generator.integers(0, 2, (3, 8, 2)).astype(np.uint8)


def linear(hidden=(), branches=None):
    """A network with fixed weights from 4 features to 2 logits."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    x = inputs
    for layer in hidden:
        x = layer(x)
    x = keras.layers.Dense(2 * (branches or 1))(x)
    return keras.Model(inputs, keras.layers.Reshape((branches, 2))(x) if branches else x)


def run(model, chunk, *, jit=False):
    return steps.compiled(model, keras.optimizers.SGD(RATE), losses.binary, jit=jit)(*chunk)


def descended(kernel, bias, chunk):
    """Gradient descent on binary cross entropy in NumPy: the losses of the steps, and the weights after them."""
    values = []
    for features, targets in zip(*chunk, strict=True):
        logits = features @ kernel + bias
        values.append((np.logaddexp(0, logits) - targets * logits).mean())
        slope = (1 / (1 + np.exp(-logits)) - targets) / targets.size
        kernel, bias = kernel - RATE * features.T @ slope, bias - RATE * slope.sum(axis=0)
    return values, kernel, bias


@pytest.mark.parametrize("jit", [False, True])
def test_steps_are_gradient_descent_and_give_the_loss_before_each(chunk, jit):
    model = linear()
    expected, kernel, bias = descended(*model.get_weights(), chunk)
    values = run(model, chunk, jit=jit)
    assert values.dtype == np.float32 and values == pytest.approx(expected, rel=1e-4)
    assert model.get_weights()[0] == pytest.approx(kernel, abs=1e-5)
    assert model.get_weights()[1] == pytest.approx(bias, abs=1e-5)


def test_a_second_call_goes_on_from_the_first(chunk):
    whole, parted = linear(), linear()
    expected = run(whole, chunk)
    call = steps.compiled(parted, keras.optimizers.SGD(RATE), losses.binary, jit=False)
    features, targets = chunk
    values = np.concatenate([call(features[:1], targets[:1]), call(features[1:], targets[1:])])
    assert values == pytest.approx(expected, rel=1e-5)


def test_a_last_batch_may_be_smaller(chunk):
    features, targets = chunk
    call = steps.compiled(linear(), keras.optimizers.SGD(RATE), losses.binary, jit=False)
    assert len(call(features, targets)) == 3 and len(call(features[:1, :5], targets[:1, :5])) == 1


def test_each_branch_is_held_to_the_same_targets(chunk):
    features, targets = chunk
    model = linear(branches=3)
    logits = model.predict_on_batch(features[0])
    assert logits.shape == (8, 3, 2)
    expected = (np.logaddexp(0, logits) - targets[0][:, None] * logits).mean()
    assert run(model, chunk)[0] == pytest.approx(expected, rel=1e-5)


def test_what_a_batch_normalisation_has_seen_is_kept(chunk):
    layer = keras.layers.BatchNormalization(momentum=0.5)
    model = linear([layer])
    run(model, (chunk[0][:1], chunk[1][:1]))
    assert np.ravel(layer.moving_mean) == pytest.approx(chunk[0][0].mean(axis=0) / 2, abs=1e-5)


def test_what_is_not_to_be_trained_stays(chunk):
    layer = keras.layers.Dense(4, trainable=False)
    model = linear([layer])
    before = [weights.copy() for weights in layer.get_weights()]
    run(model, chunk)
    assert all(np.array_equal(one, other) for one, other in zip(before, layer.get_weights(), strict=True))


def test_another_backend_is_refused(monkeypatch):
    model, optimizer = linear(), keras.optimizers.SGD(RATE)
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    with pytest.raises(InputError, match="KERAS_BACKEND=tensorflow, jax or torch, found openvino"):
        steps.compiled(model, optimizer, losses.binary, jit=False)
