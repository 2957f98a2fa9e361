"""A step is the optimizer's own on the mean loss of its batch; many are one after the other."""

import keras
import numpy as np
import pytest

from mlob.errors import InputError
from mlob.training import steps

RATE = 0.1
GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.normal(size=(5, 8, 3)).astype(np.float16)  # steps, batch, d
TARGETS = (GENERATOR.random((5, 8, 2)) < 0.4).astype(np.uint8)


def squared(targets, logits):
    """Half the squared distance, (batch,)."""
    return keras.ops.sum((logits - targets) ** 2, axis=tuple(range(1, len(logits.shape)))) / 2


def linear(weights=None):
    """A linear model without bias, whose gradients can be written down."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
    model.set_weights([np.ones((3, 2)) if weights is None else weights])
    return model


def descended(features, targets, weights):
    """What plain descent by hand makes of the weights (d, labels), and the mean loss before each step."""
    losses = []
    for x, y in zip(features.astype(np.float32), targets, strict=True):
        error = x @ weights - y
        losses.append((error**2).sum(axis=1).mean() / 2)
        weights = weights - RATE * x.T @ error / len(x)
    return weights, losses


def trained(features, targets, *, jit=False, calls=1):
    model = linear()
    run = steps.compiled(model, keras.optimizers.SGD(RATE), squared, jit=jit)
    losses = [run(*part) for part in zip(np.split(features, calls), np.split(targets, calls), strict=True)]
    return model.get_weights()[0], np.concatenate(losses)


@pytest.mark.parametrize("jit", [False, True])
def test_steps_are_those_of_descent_by_hand_and_losses_are_of_before_each(jit):
    weights, losses = trained(FEATURES, TARGETS, jit=jit)
    expected, expected_losses = descended(FEATURES, TARGETS, np.ones((3, 2), np.float32))
    assert losses.dtype == np.float32 and losses == pytest.approx(expected_losses, rel=1e-4)
    assert weights == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_many_steps_in_one_call_are_as_many_calls_of_one():
    at_once, one_by_one = trained(FEATURES, TARGETS), trained(FEATURES, TARGETS, calls=len(FEATURES))
    assert all(np.array_equal(one, other) for one, other in zip(at_once, one_by_one, strict=True))


def test_the_order_of_rows_in_a_batch_changes_nothing_but_rounding():
    weights, losses = trained(FEATURES, TARGETS)
    turned, turned_losses = trained(FEATURES[:, ::-1], TARGETS[:, ::-1])
    assert turned == pytest.approx(weights, abs=1e-5) and turned_losses == pytest.approx(losses, rel=1e-5)


def test_a_batch_of_equal_rows_is_a_row():
    features, targets = (np.repeat(array[:, :1], 8, axis=1) for array in (FEATURES, TARGETS))
    weights, losses = trained(features, targets)
    of_one, losses_of_one = trained(features[:, :1], targets[:, :1])
    assert weights == pytest.approx(of_one, abs=1e-5) and losses == pytest.approx(losses_of_one, rel=1e-5)


def test_a_last_call_of_fewer_and_smaller_batches_is_taken_too():
    model = linear()
    run = steps.compiled(model, keras.optimizers.SGD(RATE), squared, jit=False)
    losses = [*run(FEATURES[:3], TARGETS[:3]), *run(FEATURES[3:4, :2], TARGETS[3:4, :2])]
    middle, expected = descended(FEATURES[:3], TARGETS[:3], np.ones((3, 2), np.float32))
    _, (last,) = descended(FEATURES[3:4, :2], TARGETS[3:4, :2], middle)
    assert losses == pytest.approx([*expected, last], rel=1e-3)


def test_each_branch_of_a_head_is_held_against_the_same_targets():
    inputs = keras.Input((3,))
    outputs = [keras.layers.Dense(2, use_bias=False, kernel_initializer="ones")(inputs) for _ in range(2)]
    model = keras.Model(inputs, keras.ops.stack(outputs, axis=1))  # (batch, branches, labels)
    run = steps.compiled(model, keras.optimizers.SGD(RATE), squared, jit=False)
    losses = run(FEATURES, TARGETS)
    expected, expected_losses = descended(FEATURES, TARGETS, np.ones((3, 2), np.float32))
    assert losses == pytest.approx(2 * np.array(expected_losses), rel=1e-4)
    for branch in model.get_weights():
        assert branch == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_what_is_not_trainable_stays_and_the_moments_of_batches_move():
    frozen = keras.layers.Dense(3, use_bias=False)
    model = keras.Sequential([keras.Input((3,)), frozen, keras.layers.BatchNormalization(), keras.layers.Dense(2)])
    frozen.trainable = False
    before = [np.array(weights) for weights in model.get_weights()]
    steps.compiled(model, keras.optimizers.AdamW(RATE), squared, jit=False)(FEATURES, TARGETS)
    moved = [not np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True)]
    assert moved == [False] + [True] * 6


def test_a_backend_that_trains_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(InputError, match="KERAS_BACKEND=tensorflow, jax or torch, found numpy"):
        steps.compiled(linear(), keras.optimizers.SGD(RATE), squared, jit=False)
