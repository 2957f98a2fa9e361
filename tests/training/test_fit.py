import dataclasses
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import unknown

from mlob.data.dataset import Split
from mlob.errors import InputError
from mlob.features import store
from mlob.features.fingerprint import Fingerprint
from mlob.metrics import highest_micro_f1
from mlob.recipes import LINEAR, MLP, MLP_TRAINING, Experiment, Head, Task, Training
from mlob.training import batches, checkpoint, fit, learner, predicting, speed, steps

pytestmark = pytest.mark.slow  # networks are compiled

SMALL = Experiment(("any",), Head(units=(16,)), Training(epochs=4, batch=64))
MLOB = Experiment(("any",), dataclasses.replace(MLP, units=(16,)), dataclasses.replace(MLP_TRAINING, epochs=3))


@pytest.fixture(scope="module")
def rows(rows_of):
    return rows_of(260, (0.6, 0.4, 0.2), 6, noise=0.3)


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


GROUPS = ("kind", "kind", "colour")


def test_a_model_of_one_task_is_what_it_is_where_there_are_no_others(rows):
    alone = dataclasses.replace(SMALL, tasks=(Task("kind"),))
    beside = fit.fit(alone, *rows, name="head", groups=GROUPS)
    apart = [dataclasses.replace(each, targets=each.targets[:, :2]) for each in rows]
    expected = fit.predict(fit.fit(SMALL, *apart, name="head").model, rows[1].features)
    found = fit.predict(beside.model, rows[1].features)
    assert found[:, :2].tobytes() == expected.tobytes() and not found[:, 2].any()


@pytest.mark.parametrize("head", [SMALL.head, dataclasses.replace(SMALL.head, groups=True)])
def test_what_a_photo_hides_of_a_task_shapes_nothing(head, rows):
    experiment = dataclasses.replace(SMALL, head=head, tasks=(Task("kind", 2.0), Task("colour", 0.5)))
    found = []
    for code in (2, 255):
        hidden = [dataclasses.replace(each, targets=each.targets.copy()) for each in rows]
        for each in hidden:
            each.targets[::3, 2] = each.targets[1::3, :2] = code
        found.append(fit.fit(experiment, *hidden, name="head", groups=GROUPS))
    one, other = ([each.model.get_weights(), each.history] for each in found)
    assert all(np.array_equal(*pair) for pair in zip(one[0], other[0], strict=True)) and one[1] == other[1]


def test_history_has_a_row_an_epoch_and_ends_with_the_model_that_is_given(rows):
    found = fitted(SMALL, rows)
    assert [row["epoch"] for row in found.history] == [1, 2, 3, 4]
    assert tuple(found.history[0]) == ("phase", "epoch", "loss", "dev_loss", "dev_micro_f1", "learning_rate")
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

    def spied(model, optimizer, loss, jit, compiled=steps.compiled):
        run = compiled(model, optimizer, loss, jit=jit)

        def counted(features, targets):
            seen.extend([(type(optimizer).__name__, float(optimizer.learning_rate))] * len(features))
            return run(features, targets)

        return counted

    monkeypatch.setattr(steps, "compiled", spied)
    found = fitted(MLOB, rows)
    an_epoch = -(-len(rows[0].ids) // MLOB.training.batch)
    assert [name for name, _ in seen] == ["Nadam"] * an_epoch + ["SGD"] * 3 * an_epoch
    assert [rate for _, rate in seen[:: 3 * an_epoch]] == pytest.approx([2e-3, 1e-2])
    assert [row["learning_rate"] for row in found.history] == pytest.approx([2e-3, 1e-2, 1e-2, 1e-2])


@pytest.fixture(scope="module")
def third_epoch(rows):
    """What MLoB's recipe predicts after its third epoch."""
    return fit.predict(fitted(MLOB, rows, epochs=3).model, rows[1].features).tobytes()


def with_dev_losses(monkeypatch, losses):
    """Let the dev loss run as given, whatever is learned."""
    given = iter(losses)

    def judged(model, dev, rate, judge=predicting.judge):
        _, dev_micro_f1 = judge(model, dev)
        return next(given), dev_micro_f1

    monkeypatch.setattr(predicting, "judge", judged)


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

    def spied(given, *others, epoch=batches.epoch):
        for features, targets in epoch(given, *others):
            seen.extend(row.tobytes() for batch in features for row in batch)
            yield features, targets

    monkeypatch.setattr(batches, "epoch", spied)
    fitted(MLOB, rows, epochs=1)
    assert sorted(seen) == sorted(2 * [row.tobytes() for row in rows[0].features])
    assert not {row.tobytes() for row in rows[1].features} & set(seen)


def test_dev_has_no_part_in_what_is_learned_without_stopping(rows):
    train, dev = rows
    other = dataclasses.replace(dev, features=-dev.features, targets=1 - dev.targets)
    found = [fit.predict(fitted(SMALL, (train, part), epochs=2).model, dev.features) for part in (dev, other)]
    assert found[0].tobytes() == found[1].tobytes()


def test_a_loss_that_is_not_finite_names_the_step_and_the_field_to_lower(rows):
    with pytest.raises(InputError, match=r"The loss is nan at step 2 of epoch 1: lower training\.learning_rate"):
        fitted(dataclasses.replace(SMALL, head=Head(units=(16,), dropout=0)), rows, learning_rate=1e38)


def test_nor_may_the_last_step_end_in_one(rows):
    with pytest.raises(InputError, match=r"The loss is nan on dev after .* last step: lower training\.learning_rate"):
        fitted(SMALL, rows, epochs=1, batch=len(rows[0].ids), learning_rate=1e38)


# Streamed


def test_streamed_rows_train_as_well_as_resident_ones(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SLICE", 50)
    monkeypatch.setattr(batches, "RUN", 8)
    monkeypatch.setattr(batches, "CHUNK", 32)
    train, dev = rows
    ids = tuple(train.ids)
    fingerprint = Fingerprint("mobilenet", 224, "last", "avg", "whole", 1, "any", "made up", "keras", "float32", None)
    for number, names in enumerate(store.slices(ids)):
        part = train.features[number * 50 :][: len(names)]
        digests = np.arange(1, len(names) + 1, dtype=np.uint64) + np.uint64(50 * number)
        shard = store.Shard(names, part, digests, {})
        store.write(store.shard_path(tmp_path / "train", number), shard, fingerprint)
    stored = batches.read([tmp_path], Split("train", ids, ((),) * len(ids), train.targets))
    row_bytes = (train.features.nbytes + train.targets.nbytes) // len(ids)
    losses = {}
    for name, part in {
        "resident": train,
        "all in memory": dataclasses.replace(stored, memory_bytes=10**9),
        "streamed": dataclasses.replace(stored, memory_bytes=row_bytes * (2 * 64 + batches.CHUNKS * 32)),
    }.items():
        history = fitted(SMALL, (part, dev), epochs=10, batch=16, learning_rate=0.03).history
        losses[name] = history[-1]["dev_loss"] / history[0]["dev_loss"]
    assert losses["all in memory"] == losses["resident"] != losses["streamed"]
    assert losses["resident"] < 0.5 and losses["streamed"] < 0.5


# Killed and gone on


class Killed(Exception):
    """Stands for a process that ends."""


def killed_after(count, monkeypatch):
    """Let the training end within the step that comes after `count` chunks."""
    left = iter(range(count))

    def spied(*others, epoch=batches.epoch):
        for chunk in epoch(*others):
            if next(left, None) is None:
                raise Killed
            yield chunk

    monkeypatch.setattr(batches, "epoch", spied)


EARLY = dataclasses.replace(MLOB, training=dataclasses.replace(MLOB.training, epochs=6, patience=2))


@pytest.mark.parametrize("experiment", [SMALL, MLOB, EARLY], ids=["adamw, dropout", "nadam, sgd", "early"])
@pytest.mark.parametrize("chunks", [1, 2, 5])
def test_a_training_that_was_killed_ends_with_the_bytes_of_one_that_was_not(
    experiment, chunks, rows, tmp_path, monkeypatch
):
    experiment = dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, batch=52))
    monkeypatch.setattr(batches, "CHUNK", 104)  # two chunks an epoch
    whole = fit.fit(experiment, *rows, name="head")
    kept = checkpoint.Checkpoint(tmp_path / "checkpoint", {"recipe": "this"})
    with monkeypatch.context() as patched, pytest.raises(Killed):
        killed_after(chunks, patched)
        fit.fit(experiment, *rows, name="head", checkpoint=kept)
    found = fit.fit(experiment, *rows, name="head", checkpoint=kept)
    assert found.history == whole.history
    assert fit.predict(found.model, rows[1].features).tobytes() == fit.predict(whole.model, rows[1].features).tobytes()


def test_no_finished_epoch_is_repeated(rows, tmp_path, monkeypatch):
    kept, epochs = checkpoint.Checkpoint(tmp_path, {}), []

    def spied(*arguments, epoch=batches.epoch):
        epochs.append(arguments[2].bit_generator.state["state"]["state"])
        if len(epochs) == 3:
            raise Killed
        return epoch(*arguments)

    monkeypatch.setattr(batches, "epoch", spied)
    with pytest.raises(Killed):
        fit.fit(SMALL, *rows, name="head", checkpoint=kept)
    fit.fit(SMALL, *rows, name="head", checkpoint=kept)
    assert len(epochs) == 5 and epochs[2] == epochs[3] and len(set(epochs)) == 4
    fit.fit(SMALL, *rows, name="head", checkpoint=kept)
    assert len(epochs) == 5


def spoilt_checkpoints():
    """What a checkpoint may hold that is none of this head: {what: change of its facts and arrays}."""
    return {
        "no facts": lambda facts, arrays: facts.clear(),
        "no history": lambda facts, arrays: facts.update(history=[]),
        "a history of numbers": lambda facts, arrays: facts.update(history=[1, 2]),
        "a row of text": lambda facts, arrays: facts["history"][0].update(dev_loss="low"),
        "a row without its loss": lambda facts, arrays: facts["history"][0].pop("dev_loss"),
        "seconds of text": lambda facts, arrays: facts.update(seconds="long"),
        "no model": lambda facts, arrays: arrays.pop("model"),
        "no optimizer": lambda facts, arrays: arrays.pop("optimizer"),
        "an array less": lambda facts, arrays: arrays["model"].pop(),
        "an array of another shape": lambda facts, arrays: arrays["model"].__setitem__(0, np.zeros((3, 3))),
        "texts": lambda facts, arrays: arrays["optimizer"].__setitem__(0, np.array("text")),
        "another group": lambda facts, arrays: arrays.update(other=[np.zeros(2)]),
        "a best of another shape": lambda facts, arrays: arrays.update(best=[np.zeros(2)]),
    }


@pytest.fixture(scope="module")
def one_epoch(rows, tmp_path_factory):
    """A checkpoint after an epoch."""
    kept = checkpoint.Checkpoint(tmp_path_factory.mktemp("kept"), {})
    fit.fit(dataclasses.replace(SMALL, training=dataclasses.replace(SMALL.training, epochs=1)), *rows, name="head",
            checkpoint=kept)  # fmt: skip
    return kept


@pytest.mark.parametrize("what", spoilt_checkpoints())
def test_a_checkpoint_of_another_shape_is_told_with_the_mend(what, one_epoch, rows, tmp_path):
    facts, arrays = one_epoch.read()
    spoilt_checkpoints()[what](facts, arrays)
    kept = checkpoint.Checkpoint(tmp_path, {})
    kept.write(facts, **arrays)
    with pytest.raises(InputError, match=r"training\.npz is damaged .*: remove it to train from the start"):
        fit.fit(SMALL, *rows, name="head", checkpoint=kept)


def test_a_loss_that_spoils_leaves_the_last_good_checkpoint(rows, tmp_path, monkeypatch):
    kept = checkpoint.Checkpoint(tmp_path, {})
    with_dev_losses(monkeypatch, [0.5, 0.4])

    def spied(*arguments, epoch=batches.epoch, seen=[]):  # noqa: B006
        seen.append(1)
        for features, targets in epoch(*arguments):
            yield features * np.float16(np.nan if len(seen) == 3 else 1), targets

    monkeypatch.setattr(batches, "epoch", spied)
    with pytest.raises(InputError, match="The loss is nan"):
        fit.fit(SMALL, *rows, name="head", checkpoint=kept)
    facts, arrays = kept.read()
    assert [row["dev_loss"] for row in facts["history"]] == [0.5, 0.4]
    assert all(np.isfinite(array).all() for array in arrays["model"])


# Speed that changes nothing, or what the recipe allows


def test_xla_trains_the_same(rows, monkeypatch):
    found, plain = [], dataclasses.replace(SMALL, head=Head(units=(16,), dropout=0))  # XLA draws other dropouts
    for jit in (False, True):
        monkeypatch.setattr(speed, "jit", lambda *arguments, jit=jit: jit)
        found.append([row["dev_loss"] for row in fitted(plain, rows, epochs=2).history])
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_bfloat16_learns_too_and_gives_float32(rows):
    found = fitted(SMALL, rows, epochs=10, batch=16, learning_rate=0.03, precision="bfloat16")
    assert found.history[-1]["dev_loss"] < 0.7 * found.history[0]["dev_loss"]
    assert fit.predict(found.model, rows[1].features).dtype == np.float32
    assert "bfloat16" in {layer.compute_dtype for layer in found.model.layers}


def test_rows_drawn_on_a_device_train_the_same_head(rows, monkeypatch):
    expected = fitted(SMALL, rows, epochs=2).model.get_weights()
    monkeypatch.setattr(learner.machine, "has_gpu", lambda: True)
    drawn = []

    def spied(*arguments, epoch=batches.epoch):
        for chunk in epoch(*arguments):
            drawn.extend(chunk)
            yield chunk

    monkeypatch.setattr(batches, "epoch", spied)
    weights = fitted(SMALL, rows, epochs=2).model.get_weights()
    assert drawn and not any(isinstance(array, np.ndarray) for array in drawn)
    assert all(np.array_equal(one, other) for one, other in zip(expected, weights, strict=True))


@pytest.mark.parametrize("training", [{"mixup": 0.2}, {}])
def test_rows_that_a_device_cannot_hold_or_numpy_has_to_mix_stay_in_memory(training, rows, monkeypatch):
    monkeypatch.setattr(learner.machine, "has_gpu", lambda: True)
    if not training:
        monkeypatch.setattr(keras.ops, "convert_to_tensor", lambda *_: 1 / 0)
    experiment = dataclasses.replace(SMALL, training=dataclasses.replace(SMALL.training, **training))
    assert len(fitted(experiment, rows, epochs=1).history) == 1


OTHERS = """
import numpy as np
from mlob.recipes import Experiment, Head, Training
from mlob.training import batches, fit, predicting

generator = np.random.default_rng(0)
targets = (generator.random((260, 3)) < (0.6, 0.4, 0.2)).astype(np.uint8)
features = (targets @ generator.normal(size=(3, 6))).astype(np.float16)
rows = batches.train_and_dev(batches.Rows(np.arange(260).astype(str).astype(object), features, targets))
experiment = Experiment(("any",), Head(units=(16,)), Training(epochs=4, batch=64, learning_rate=0.03))
found = [fit.fit(experiment, *rows, name="head") for _ in range(2)]
losses = [row["dev_loss"] for row in found[0].history]
assert losses == [row["dev_loss"] for row in found[1].history]
print(losses[-1] / losses[0])
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_train_as_well(backend):
    pytest.importorskip(backend)
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run([sys.executable, "-c", OTHERS], env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.7


def test_predictions_come_in_blocks_and_of_no_rows_too(rows, monkeypatch):
    model = fitted(SMALL, rows, epochs=1).model
    whole = fit.predict(model, rows[0].features)
    monkeypatch.setattr(predicting, "BLOCK", 50)
    assert fit.predict(model, rows[0].features) == pytest.approx(whole, abs=1e-6)
    assert fit.predict(model, rows[0].features[:0]).shape == (0, 3)


@pytest.fixture(scope="module")
def uncertain(rows):
    """The same rows, of which some are unknown: a third of all, and one label on most of dev."""
    generator, hidden = np.random.default_rng(3), []
    for part in rows:
        lost = generator.random(part.targets.shape) < 0.3
        hidden.append(dataclasses.replace(part, targets=np.where(lost, 255, part.targets).astype(np.uint8)))
    hidden[1].targets[3:, 2] = 255
    return hidden


@pytest.mark.parametrize(
    "head, training",
    [
        (Head(units=(16,)), Training(epochs=2, batch=64, mixup=0.4, label_smoothing=0.1, balance=0.5)),
        (Head(units=(16,), groups=True, branches=2), Training(epochs=2, batch=64, loss="categorical", mixup=0.4)),
        (Head(units=(), groups=True), Training(epochs=2, batch=64, loss="complement")),
    ],
)
def test_the_code_of_what_is_unknown_changes_no_byte_of_a_training(head, training, uncertain):
    experiment, groups = Experiment(("any",), head, training), ("a", "b", "b")
    learned = []
    for code in (2, 255):
        parts = [dataclasses.replace(part, targets=unknown.recoded(part.targets, code)) for part in uncertain]
        parts[0].targets[parts[0].targets[:, 1] == 1, 2] = code  # no row is known to have both labels of the group
        learned.append(fit.fit(experiment, *parts, name="head", groups=groups))
    one, other = learned
    assert unknown.same_bytes(one.model.get_weights(), other.model.get_weights()) and one.history == other.history


@pytest.mark.parametrize("loss", ["binary", "categorical"])
def test_beside_a_label_of_an_exclusive_group_the_others_are_learned_to_be_absent(rows, loss):
    targets = rows[0].targets.copy()
    targets[targets[:, 1] == 1, 2] = 0
    hidden = targets.copy()
    hidden[targets[:, 1] == 1, 2] = 255
    experiment = Experiment(("any",), Head(units=(), groups=True), Training(epochs=1, batch=64, loss=loss, mixup=0.4))
    one, other = (
        fit.fit(experiment, dataclasses.replace(rows[0], targets=each), rows[1], name="head", groups=("a", "b", "b"))
        for each in (targets, hidden)
    )
    assert unknown.same_bytes(one.model.get_weights(), other.model.get_weights()) and one.history == other.history


def test_the_dev_loss_is_the_mean_over_what_is_known(rows, uncertain):
    found, targets = fitted(SMALL, uncertain), uncertain[1].targets
    probabilities = fit.predict(found.model, rows[1].features).astype(np.float64)
    loss = -np.log(np.where(targets == 1, probabilities, 1 - probabilities))[targets <= 1].mean()
    assert found.history[-1]["dev_loss"] == pytest.approx(loss, rel=1e-4)
    assert found.history[-1]["dev_micro_f1"] == highest_micro_f1(targets, probabilities.astype(np.float32))


def test_what_is_known_is_learned_as_well_as_before(rows, uncertain):
    found = fitted(SMALL, (uncertain[0], rows[1]), epochs=10, batch=16, learning_rate=0.03)
    mistaken = np.where(uncertain[0].targets > 1, 0, uncertain[0].targets).astype(np.uint8)
    taken_for_absent = dataclasses.replace(uncertain[0], targets=mistaken)
    worse = fitted(SMALL, (taken_for_absent, rows[1]), epochs=10, batch=16, learning_rate=0.03)
    assert found.history[-1]["dev_loss"] < worse.history[-1]["dev_loss"]


def test_dev_of_which_nothing_is_known_is_refused(rows):
    nothing = dataclasses.replace(rows[1], targets=np.full_like(rows[1].targets, 255))
    with pytest.raises(InputError, match="of which nothing is known"):
        fitted(SMALL, (rows[0], nothing))
