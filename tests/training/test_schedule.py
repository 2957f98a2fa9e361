"""How long a recipe trains, and how its learning rate changes."""

import keras
import numpy as np
import pytest

from mlob.recipes import MLP_TRAINING, Training, epochs_for
from mlob.training import schedule


def test_a_recipe_that_names_no_epochs_takes_as_many_as_its_rows_ask_for():
    assert schedule.epochs(Training(epochs=7), 100) == 7
    assert schedule.epochs(Training(), 6450) == epochs_for(6450) == 50
    assert schedule.epochs(Training(epochs=7, nadam_epochs=2), 100) == 9


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


def test_the_cosine_rises_while_it_warms_up_and_ends_at_zero():
    optimizer = schedule.optimizer(Training(learning_rate=0.1), 100, 20)
    rates = []
    for step in (0, 10, 20, 60, 100):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([0, 0.05, 0.1, 0.05, 0], abs=1e-6)


def test_without_a_warm_up_the_cosine_begins_at_the_rate():
    assert float(schedule.optimizer(Training(learning_rate=0.1), 100).learning_rate) == pytest.approx(0.1)


def test_the_optimizer_is_the_recipes():
    sgd = schedule.optimizer(MLP_TRAINING, 100)
    assert isinstance(sgd, keras.optimizers.SGD) and (sgd.momentum, sgd.nesterov) == (0.5, True)
    adamw = schedule.optimizer(Training(weight_decay=0.3), 100)
    assert isinstance(adamw, keras.optimizers.AdamW) and adamw.weight_decay == 0.3


def test_biases_do_not_decay():
    layer = keras.layers.Dense(2, bias_initializer="ones", kernel_initializer="ones")
    layer.build((None, 3))
    adamw = schedule.optimizer(Training(learning_rate=0.1, weight_decay=0.5), 100)
    adamw.apply([np.zeros((3, 2), np.float32), np.zeros(2, np.float32)], layer.trainable_variables)
    kernel, bias = layer.get_weights()
    assert (kernel < 1).all() and (bias == 1).all()
