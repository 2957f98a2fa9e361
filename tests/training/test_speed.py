"""Which of two ways of taking steps is taken, on trials whose seconds are made up, and on one that is run."""

import dataclasses

import keras
import numpy as np
import pytest

from mlob.recipes import Experiment, Head, Training
from mlob.training import batches, speed

SMALL = Experiment(("any",), Head(units=(16,)), Training(epochs=4, batch=64))
AUTO = dataclasses.replace(SMALL, training=dataclasses.replace(SMALL.training, precision="auto"))


@pytest.fixture(scope="module")
def train():
    generator = np.random.default_rng(0)
    targets = (generator.random((260, 3)) < 0.5).astype(np.uint8)
    features = generator.normal(size=(260, 6)).astype(np.float16)
    return batches.Labelled(np.arange(260).astype(str).astype(object), features, targets)


@pytest.fixture
def taking(monkeypatch):
    """Let trials take made-up seconds: taking({(precision, jit): seconds})."""

    def taking(seconds):
        monkeypatch.setattr(speed, "trial", lambda experiment, train, precision, jit: lambda: seconds[precision, jit])

    return taking


@pytest.mark.parametrize("bfloat16, chosen", [(0.7, "bfloat16"), (0.9, "float32"), (2, "float32")])
def test_the_faster_precision_is_taken_where_it_clearly_is(bfloat16, chosen, train, taking):
    taking({("float32", True): 1.0, ("bfloat16", True): bfloat16})
    assert speed.precision(AUTO, train) == chosen


def test_a_precision_that_the_recipe_names_is_not_tried(train, taking):
    taking({})
    assert speed.precision(SMALL, train) == "float32"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX always compiles")
@pytest.mark.parametrize("compiled, least, chosen", [(0.8, 1, True), (1.2, 1, False), (0.8, 10**9, False)])
def test_xla_is_taken_where_steps_are_many_and_it_is_faster(compiled, least, chosen, train, taking, monkeypatch):
    monkeypatch.setattr(speed, "ROWS_WORTH_XLA", least)
    taking({("float32", True): compiled, ("float32", False): 1.0})
    assert speed.jit(SMALL, train, "float32") is chosen


def test_trials_run_in_turn_and_the_first_round_does_not_count():
    runs, seconds = [], {"one": [0.1, 3, 2, 4], "other": [9, 7, 8, 6]}

    def trial(name):
        return lambda: runs.append(name) or seconds[name].pop(0)

    assert speed.fewest_seconds(trial(name) for name in list(seconds)) == [2, 6]
    assert runs == ["one", "other"] * 4


def test_a_trial_takes_steps_on_the_first_rows_and_leaves_them_as_they_are(train):
    before = train.features.tobytes(), train.targets.tobytes()
    seconds = speed.trial(SMALL, train, "float32", jit=False)
    assert seconds() > 0 and seconds() > 0
    assert (train.features.tobytes(), train.targets.tobytes()) == before
