"""How long a recipe trains, with which optimizers, and how its learning rate changes."""

import dataclasses
import math

import keras
import numpy as np
import pytest

from mlob.phases import Convolutions, Network, Phase
from mlob.recipes import MLP, MLP_TRAINING, Experiment, Training, epochs_for
from mlob.training import schedule

NAMES = ("adamw", "adam", "nadam", "sgd", "rmsprop")


def of(training):
    return Experiment(("xception",), MLP, training)


def test_a_recipe_that_names_no_epochs_takes_as_many_as_its_rows_ask_for():
    assert schedule.epochs(of(Training(epochs=7)), 100) == 7
    assert schedule.epochs(of(Training()), 6450) == epochs_for(6450) == 50
    assert schedule.epochs(of(Training(epochs=7, nadam_epochs=2)), 100) == 9


def test_a_training_is_one_phase_with_all_that_it_says():
    training = Training(optimizer="sgd", momentum=0.5, nesterov=True, schedule="plateau", warmup_epochs=1, patience=3)
    said = {"optimizer": "sgd", "momentum": 0.5, "nesterov": True, "warmup_epochs": 1, "patience": 3}
    phase = Phase(learning_rate=2e-3, schedule="plateau", epochs=epochs_for(100), **said)
    assert schedule.phases(of(training), 100) == (phase,)


def test_a_networks_phases_are_its_own():
    own = Phase(unfreeze="nothing", epochs=2), Phase(epochs=3)
    recipe = dataclasses.replace(of(Training()), network=Network(convolutions=Convolutions((8,)), phases=own))
    assert schedule.phases(recipe, 100) == own and schedule.epochs(recipe, 100) == 5
    assert schedule.field(recipe, 1) == "network.phases[1]"


def test_epochs_of_nadam_are_a_phase_before():
    nadam, own = schedule.phases(of(MLP_TRAINING), 100)
    assert nadam == Phase(optimizer="nadam", learning_rate=2e-3, schedule="constant", epochs=1)
    assert (own.optimizer, own.learning_rate, own.epochs) == ("sgd", MLP_TRAINING.learning_rate, MLP_TRAINING.epochs)


@pytest.mark.parametrize(
    "dev_losses, fifths",
    [
        ([], 0),
        ([3, 2, 1], 0),
        ([1, 2, 2], 0),
        ([1, 2, 2, 2], 1),
        ([1, 2, 2, 2, 2, 2, 2], 2),
        ([1, 2, 2, 0.5, 2, 2], 0),
        ([1, 1 - 1e-5, 1 - 2e-5, 1 - 3e-5], 1),
    ],
)
def test_a_plateau_of_three_epochs_takes_a_fifth_and_a_gain_too_small_is_none(dev_losses, fifths):
    assert schedule.plateau_rate(0.1, dev_losses) == pytest.approx(0.1 / 5**fifths)


def rates(phase, batches, steps, warmup_steps=0):
    """List the learning rates after numbers of batches."""
    optimizer = schedule.optimizer(phase, steps, warmup_steps)
    variable = keras.Variable([1.0])
    seen = []
    for _ in range(steps + 1):
        seen.append(float(optimizer.learning_rate))
        optimizer.apply([np.ones(1, np.float32)], [variable])
    return [seen[number] for number in batches]


@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_cosine_rises_while_it_warms_up_and_ends_at_zero_after_all_batches(accumulate):
    phase = Phase(learning_rate=0.1, accumulate=accumulate)
    assert rates(phase, (0, 5, 10, 30, 50), 50, 10) == pytest.approx([0, 0.05, 0.1, 0.05, 0], abs=1e-6)


def test_without_a_warm_up_the_cosine_begins_at_the_rate():
    assert float(schedule.optimizer(Phase(learning_rate=0.1), 100).learning_rate) == pytest.approx(0.1)


def test_a_constant_rate_stays_after_its_warm_up():
    phase = Phase(learning_rate=0.1, schedule="constant")
    assert rates(phase, (0, 5, 10, 11, 20), 20, 10) == pytest.approx([0, 0.05, 0.1, 0.1, 0.1])
    assert rates(phase, (0, 20), 20) == pytest.approx([0.1, 0.1])


def test_the_rate_of_a_plateau_is_set_from_outside():
    optimizer = schedule.optimizer(Phase(schedule="plateau", learning_rate=0.1), 100, 20)
    assert float(optimizer.learning_rate) == pytest.approx(0.1)
    optimizer.learning_rate = 0.02
    assert float(optimizer.learning_rate) == pytest.approx(0.02)


def test_the_optimizer_is_the_recipes():
    sgd = schedule.optimizer(schedule.phases(of(MLP_TRAINING), 100)[-1], 100)
    assert isinstance(sgd, keras.optimizers.SGD) and (sgd.momentum, sgd.nesterov) == (0.5, True)
    adamw = schedule.optimizer(Phase(weight_decay=0.3), 100)
    assert isinstance(adamw, keras.optimizers.AdamW) and adamw.weight_decay == 0.3


def layers(*shapes):
    """Build a dense layer and a batch normalisation of ones, and give their trainable variables."""
    ones = {"bias_initializer": "ones", "kernel_initializer": "ones"}
    dense, norm = keras.layers.Dense(2, **ones), keras.layers.BatchNormalization(beta_initializer="ones")
    dense.build((None, 3))
    norm.build((None, 2))
    return dense.trainable_variables + norm.trainable_variables


def applied(optimizer, variables, gradients):
    """Apply gradients, lists of one number for all entries of each variable, one after another; give all values."""
    for values in gradients:
        fulls = [np.full(variable.shape, value, np.float32) for variable, value in zip(variables, values, strict=True)]
        optimizer.apply(fulls, variables)
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def test_biases_and_what_a_batch_normalisation_learns_do_not_decay():
    adamw = schedule.optimizer(Phase(learning_rate=0.1, weight_decay=0.5), 100)
    kernel, *others = applied(adamw, layers(), [[0] * 4])
    assert (kernel < 1).all() and len(others) == 3 and all((other == 1).all() for other in others)


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_lowers_a_square_also_with_all_that_a_phase_may_ask(name):
    phase = Phase(optimizer=name, learning_rate=0.05, clip=1.0, accumulate=2, average=0.5, momentum=0.5)
    variable = keras.Variable(np.array([2.0, -3.0], np.float32))
    optimizer = schedule.optimizer(phase, 100, shares={variable.path: 0.5})
    for _ in range(100):
        optimizer.apply([2 * keras.ops.convert_to_numpy(variable)], [variable])
    optimizer.finalize_variable_values([variable])
    assert float((keras.ops.convert_to_numpy(variable) ** 2).sum()) < 13 - 1


GRADIENTS = [[1, -2, 3, -1], [0.5, 2, -1, 1], [-1, 0.3, 2, 0.1]]


@pytest.mark.parametrize("name", NAMES)
def test_shares_of_one_give_the_bytes_of_none(name):
    phase = Phase(optimizer=name, learning_rate=0.1, momentum=0.5, nesterov=True, weight_decay=0.3)
    plain, shared = layers(), layers()
    shares = {variable.path: 1.0 for variable in shared}
    expected = applied(schedule.optimizer(phase, 10), plain, GRADIENTS)
    found = applied(schedule.optimizer(phase, 10, shares=shares), shared, GRADIENTS)
    assert [each.tobytes() for each in found] == [each.tobytes() for each in expected]


@pytest.mark.parametrize("name", NAMES)
def test_a_share_of_none_of_the_rate_leaves_a_variable_as_it_is_and_no_other(name):
    phase = Phase(optimizer=name, learning_rate=0.1, momentum=0.5, weight_decay=0.3)
    variables = layers()
    kernel, *others = applied(schedule.optimizer(phase, 10, shares={variables[0].path: 0}), variables, GRADIENTS)
    assert (kernel == 1).all() and all((other != 1).all() for other in others)


def test_a_share_of_the_rate_is_a_share_of_the_step_and_of_the_decay():
    phase = Phase(learning_rate=0.1, weight_decay=0.5, schedule="constant")
    fast, slow = layers(), layers()
    fast_kernel, *_ = applied(schedule.optimizer(phase, 10), fast, GRADIENTS[:1])
    shares = {slow[0].path: 0.25}
    slow_kernel, *_ = applied(schedule.optimizer(phase, 10, shares=shares), slow, GRADIENTS[:1])
    # Both are small beside the variable, 1: what the decay takes off does not change what Adam's step does.
    assert 1 - slow_kernel == pytest.approx((1 - fast_kernel) / 4, rel=1e-5)


@pytest.mark.parametrize("shares", [{}, {"layer": 0.5}])
def test_batches_that_accumulate_make_the_step_of_one(shares):
    def after(batches, accumulate):
        variable = keras.Variable([1.0, 2.0], name="layer")
        phase = Phase(optimizer="sgd", learning_rate=0.1, schedule="constant", accumulate=accumulate)
        return applied(schedule.optimizer(phase, 10, shares=shares), [variable], [[0.7]] * batches)[0]

    assert after(3, 3) == pytest.approx(after(1, 1))
    assert (after(2, 3) == [1, 2]).all()


def test_a_gradient_is_cut_to_the_norm_that_a_phase_allows():
    phase = Phase(optimizer="sgd", learning_rate=1.0, schedule="constant", clip=0.5)
    long, short = keras.Variable(np.zeros(4, np.float32)), keras.Variable(np.zeros(4, np.float32))
    found = applied(schedule.optimizer(phase, 10), [long, short], [[3, 0.1]])
    assert np.linalg.norm(found[0]) == pytest.approx(0.5) and found[1] == pytest.approx(-0.1)


def test_a_phase_ends_with_the_average_of_its_weights():
    phase = Phase(optimizer="sgd", learning_rate=0.1, schedule="constant", average=0.8)
    variable = keras.Variable([1.0])
    optimizer = schedule.optimizer(phase, 10)
    weights = [applied(optimizer, [variable], [[gradient]])[0].copy() for gradient in (1, -2, 3)]
    average = weights[0]
    for each in weights[1:]:
        average = 0.8 * average + 0.2 * each
    optimizer.finalize_variable_values([variable])
    assert keras.ops.convert_to_numpy(variable) == pytest.approx(average)
    assert math.isclose(weights[-1][0], average[0], rel_tol=1e-3) is False
