import dataclasses

import keras
import numpy as np
import pytest

from mlob.errors import InputError
from mlob.metrics import highest_micro_f1
from mlob.recipes import LINEAR, MLP, MLP_TRAINING, Experiment, Head, Training
from mlob.training import batches, fit

SMALL = Experiment(("any",), Head(units=(16,)), Training(epochs=4, batch=64))
MLOB = Experiment(("any",), dataclasses.replace(MLP, units=(16,)), dataclasses.replace(MLP_TRAINING, epochs=3))


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(0)
    targets = (generator.random((260, 3)) < (0.6, 0.4, 0.2)).astype(np.uint8)
    features = targets @ generator.normal(size=(3, 6)) + 0.3 * generator.normal(size=(260, 6))
    ids = np.array([str(number) for number in range(260)], object)
    return batches.train_and_dev(batches.Rows(ids, features.astype(np.float16), targets))


def best_constant_f1(targets):
    """What is reached without a look at the features."""
    return highest_micro_f1(targets, np.broadcast_to(targets.mean(axis=0), targets.shape))


def fitted(experiment, rows, **changes):
    training = dataclasses.replace(experiment.training, **changes)
    return fit.fit(dataclasses.replace(experiment, training=training), *rows, name="head")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(rows):
    found = [
        fit.predict(fitted(dataclasses.replace(SMALL, seed=seed), rows, epochs=2).model, rows[1].features)
        for seed in (0, 0, 1)
    ]
    assert found[0].tobytes() == found[1].tobytes() != found[2].tobytes()


@pytest.mark.parametrize("experiment", [SMALL, MLOB, dataclasses.replace(SMALL, head=LINEAR)])
def test_what_can_be_learned_is_learned(experiment, rows):
    found = fitted(experiment, rows, epochs=10, batch=16, learning_rate=0.03)
    assert found.history[-1]["loss"] < 0.7 * found.history[0]["loss"]
    assert found.history[-1]["dev_loss"] < 0.7 * found.history[0]["dev_loss"]
    assert found.history[-1]["dev_micro_f1"] > 0.15 + best_constant_f1(rows[1].targets)


def test_history_has_a_row_an_epoch_and_ends_with_the_model_that_is_given(rows):
    found = fitted(SMALL, rows)
    assert [row["epoch"] for row in found.history] == [1, 2, 3, 4]
    assert set(found.history[0]) == {"epoch", "loss", "dev_loss", "dev_micro_f1", "learning_rate"}
    probabilities = fit.predict(found.model, rows[1].features).astype(np.float64)
    targets = rows[1].targets
    loss = -np.log(np.where(targets, probabilities, 1 - probabilities)).mean()
    assert found.history[-1]["dev_loss"] == pytest.approx(loss, rel=1e-4)
    assert found.history[-1]["dev_micro_f1"] == highest_micro_f1(targets, probabilities.astype(np.float32))


def test_the_cosine_runs_down_to_zero_over_just_the_epochs(rows):
    rates = [row["learning_rate"] for row in fitted(SMALL, rows).history]
    assert rates == pytest.approx([2e-3 * (1 + np.cos(np.pi * done / 4)) / 2 for done in (1, 2, 3, 4)], abs=1e-9)


def test_mlobs_recipe_starts_with_an_epoch_of_nadam(rows, monkeypatch):
    seen = []

    def run(model, optimizer, rows, epochs, run=fit._run, **others):
        seen.append((type(optimizer).__name__, float(optimizer.learning_rate), epochs))
        run(model, optimizer, rows, epochs, **others)

    monkeypatch.setattr(fit, "_run", run)
    found = fitted(MLOB, rows)
    assert seen == [("Nadam", pytest.approx(2e-3), 1), ("SGD", pytest.approx(1e-2), 3)]
    assert len(found.history) == 4 and found.history[0]["learning_rate"] == pytest.approx(2e-3)
    assert seen[1][1] == found.history[1]["learning_rate"]


@pytest.fixture(scope="module")
def third_epoch(rows):
    """What MLoB's recipe predicts after its third epoch."""
    return fit.predict(fitted(MLOB, rows, epochs=3).model, rows[1].features).tobytes()


def with_dev_losses(monkeypatch, losses):
    """Let the dev loss run as given, whatever is learned."""
    given = iter(losses)
    monkeypatch.setattr(fit.keras.losses, "binary_crossentropy", lambda *_: np.float64(next(given)))


def test_stopping_early_gives_back_the_best_weights(rows, third_epoch, monkeypatch):
    with_dev_losses(monkeypatch, [9, 4, 3, 2, 5, 6, 7, 8, 9, 9, 9])  # of Nadam's epoch, then the best is the third
    found = fitted(MLOB, rows, epochs=9, patience=3)
    assert len(found.history) == 1 + 3 + 3
    assert fit.predict(found.model, rows[1].features).tobytes() == third_epoch


def test_so_does_running_to_the_end(rows, third_epoch, monkeypatch):
    with_dev_losses(monkeypatch, [9, 4, 3, 2, 5, 6])
    found = fitted(MLOB, rows, epochs=5)
    assert fit.predict(found.model, rows[1].features).tobytes() == third_epoch


def test_a_plateau_lowers_the_rate_to_a_fifth_after_three_epochs(rows, monkeypatch):
    with_dev_losses(monkeypatch, [9, 4, 5, 5, 5, 5])
    rates = [row["learning_rate"] for row in fitted(MLOB, rows, epochs=5).history[1:]]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-2, 1e-2, 2e-3])


def test_rows_of_dev_are_never_fitted_on(rows, monkeypatch):
    seen = []

    def spied(model, features, *others, fit=keras.Model.fit, **named):
        seen.append(features)
        return fit(model, features, *others, **named)

    monkeypatch.setattr(keras.Model, "fit", spied)
    fitted(MLOB, rows, epochs=1)
    dev = {row.tobytes() for row in rows[1].features}
    assert len(seen) == 2 and not any(row.tobytes() in dev for features in seen for row in features)


def test_dev_has_no_part_in_what_is_learned_without_stopping(rows):
    train, dev = rows
    other = dataclasses.replace(dev, features=-dev.features, targets=1 - dev.targets)
    found = [fit.predict(fitted(SMALL, (train, part), epochs=2).model, dev.features) for part in (dev, other)]
    assert found[0].tobytes() == found[1].tobytes()


def test_a_loss_that_is_not_finite_names_the_field_to_lower(rows):
    with pytest.raises(InputError, match=r"The loss is nan.* in epoch \d+: lower training.learning_rate"):
        fitted(dataclasses.replace(SMALL, head=Head(units=(16,), dropout=0)), rows, learning_rate=1e30)


def test_nor_may_the_last_step_end_in_one(rows):
    with pytest.raises(InputError, match=r"The loss is nan in epoch 1: lower training\.learning_rate"):
        fitted(SMALL, rows, epochs=1, batch=len(rows[0].ids), learning_rate=np.inf)


def test_predictions_come_in_blocks_and_of_no_rows_too(rows, monkeypatch):
    model = fitted(SMALL, rows, epochs=1).model
    whole = fit.predict(model, rows[0].features)
    monkeypatch.setattr(fit, "BLOCK", 50)
    assert fit.predict(model, rows[0].features) == pytest.approx(whole, abs=1e-6)
    assert fit.predict(model, rows[0].features[:0]).shape == (0, 3)
