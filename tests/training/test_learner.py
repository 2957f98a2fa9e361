"""A whole network in training: what learns and what does not, phase after phase, killed and gone on."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import settled

from mlob import recipes
from mlob.errors import InputError
from mlob.features import weights
from mlob.models import networks
from mlob.models.beginning import Beginning
from mlob.phases import Augmentation, Convolutions, Network, Phase
from mlob.recipes import Experiment, FeatureSet, Head, Training
from mlob.training import batches, checkpoint, fit, predicting, sampling, steps

pytestmark = pytest.mark.slow  # networks are compiled

ROWS, BATCH, SIDE = 40, 8, 16
PIXELS = Beginning(FeatureSet("pixels", pool="grid"))
LAYERS = Convolutions(filters=(4, 8), kernel=3, pooled=2, pool=2, dropout=0.2, flatten=False)
CHANGES = Augmentation(flip=True, crop=0.5, colour=0.3, cutout=0.2)
PHASES = (
    Phase(epochs=2, learning_rate=1e-2, augmentation=CHANGES, average=0.7),
    Phase(epochs=2, optimizer="sgd", momentum=0.9, size=24, schedule="plateau", patience=2, augmentation=CHANGES),
    Phase(epochs=2, steps=2, warmup_epochs=1, accumulate=2, clip=1.0),
)


def recipe(*phases, **training):
    network = Network(convolutions=LAYERS, phases=phases)
    return Experiment(("any",), Head(units=(8,)), Training(batch=BATCH, **training), network=network)


def made_up(side=SIDE, count=ROWS):
    """Train and dev: photos that are red, or dark, or neither."""
    photos = settled.photos(count, side)
    colours = photos.reshape(count, -1, 3).mean(axis=1)
    targets = np.stack([colours[:, 0] > colours[:, 2], colours.mean(axis=1) < 128], axis=1).astype(np.uint8)
    ids = np.array([str(number) for number in range(count)], object)
    return batches.train_and_dev(batches.Rows(ids, photos, targets))


@pytest.fixture(scope="module")
def rows():
    return made_up()


def fitted(experiment, rows, begin=PIXELS, **others):
    return fit.fit(experiment, *rows, name="network", begin=begin, **others)


def bytes_of(trained):
    return [array.tobytes() for array in trained.model.get_weights()]


@pytest.fixture
def after_epochs(monkeypatch):
    """The weights as each epoch leaves them: a list that fills up."""
    seen = []

    def judged(model, *others, judge=predicting.judge):
        seen.append(model.get_weights())
        return judge(model, *others)

    monkeypatch.setattr(predicting, "judge", judged)
    return seen


@pytest.fixture
def steps_of(monkeypatch):
    """The calls of steps: a list of (optimizer, its steps before, the weights before, the weights after)."""
    seen = []

    def spied(model, optimizer, loss, jit, compiled=steps.compiled):
        run = compiled(model, optimizer, loss, jit=jit)

        def noted(features, targets):
            before = int(optimizer.iterations), [each.numpy() for each in model.trainable_variables]
            losses = run(features, targets)
            seen.append((optimizer, *before, [each.numpy() for each in model.trainable_variables]))
            return losses

        return noted

    monkeypatch.setattr(steps, "compiled", spied)
    return seen


def with_dev_losses(monkeypatch, losses):
    """Let the dev loss run as given, whatever is learned."""
    given = iter(losses)
    monkeypatch.setattr(predicting, "_cross_entropy", lambda *_: next(given))


# What learns


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """What a network begins with: MobileNet, settled on photos of 32 pixels."""
    feature_set, path = FeatureSet("mobilenet"), tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    network = weights.network(feature_set, weights.random())
    settled.settle(network, feature_set, settled.photos(8, 224)).save_weights(path)
    return dataclasses.replace(PIXELS, extractor=feature_set, source=weights.Source(path.name, path, "settled"))


def moments(model):
    """The numbers of the moments of batch normalisation among a model's weights."""
    return [number for number, each in enumerate(model.weights) if each.name.startswith("moving_")]


def test_frozen_layers_and_moments_stay_as_they_are_to_the_bit(backbone, after_epochs):
    phase = Phase(size=32, steps=2, learning_rate=1e-2, augmentation=CHANGES)
    phases = [dataclasses.replace(phase, unfreeze=wanted) for wanted in ("nothing", "10", "everything")]
    experiment = Experiment(
        ("any",), Head(units=()), Training(batch=BATCH), network=Network("mobilenet", phases=tuple(phases))
    )
    trained = fitted(experiment, made_up(side=64), backbone)
    network = networks.backbone_of(trained.model)
    inside = {id(each) for each in network.weights}
    last = {id(each) for layer in network.layers[-10:] for each in layer.weights}
    still, order = {*moments(trained.model)}, [id(each) for each in trained.model.weights]
    assert len(still) == 2 * 27 and len(last) == 15
    before = weights.network(*backbone.backbone).get_weights() + [None] * 10
    for learning, epoch in zip((set(), last, inside), after_epochs, strict=True):
        for number, array in enumerate(epoch):
            if order[number] not in inside:
                continue
            is_equal = np.array_equal(array, before[number])
            assert is_equal == (number in still or order[number] not in learning)
        before = epoch


def test_photos_are_predicted_as_they_are_whatever_is_done_to_them_in_training(rows, tmp_path):
    experiment = recipe(dataclasses.replace(PHASES[0], average=0.0))
    trained = fitted(experiment, rows)
    plain = networks.plan(experiment, PIXELS, rows[0].features, rows[0].targets).build()
    plain.set_weights(trained.model.get_weights())
    found = trained.predict(rows[1].features)
    assert found == pytest.approx(networks.answers(plain, rows[1].features), abs=1e-6)
    assert found.tobytes() == trained.predict(rows[1].features).tobytes()
    trained.model.save(tmp_path / "head.keras")
    assert "random_changes" not in {layer.name for layer in trained.model.layers}
    other = fitted(recipe(dataclasses.replace(PHASES[0], average=0.0, augmentation=Augmentation())), rows)
    assert bytes_of(other) != bytes_of(trained)  # in training it matters


def test_photos_that_mixup_mixes_are_whole_numbers_again():
    photos = np.array([[[0], [255]]], np.uint8)
    targets = np.array([[[0], [1]]], np.uint8)
    found = []
    for seed in range(50):
        features, shares = sampling.mixed(photos, targets, 1.0, np.random.default_rng(seed))
        assert features.dtype == np.uint8
        assert features[..., 0] == pytest.approx(255 * shares[..., 0], abs=0.5001)
        found += features.ravel().tolist()
    assert len({*found}) > 20


# Phases


def test_each_phase_has_its_epochs_its_rows_in_the_history_and_an_optimizer_of_its_own(rows, steps_of):
    trained = fitted(recipe(*PHASES), rows)
    assert [row["phase"] for row in trained.history] == [1, 1, 2, 2, 3, 3]
    assert [row["epoch"] for row in trained.history] == [1, 2, 3, 4, 5, 6]
    an_epoch = -(-len(rows[0].ids) // BATCH)
    optimizers = [optimizer for optimizer, *_ in steps_of]
    assert [type(each).__name__ for each in optimizers] == ["AdamW"] * 2 * an_epoch + ["SGD"] * 2 * an_epoch + [
        "AdamW"
    ] * 4  # two steps in each of the last phase's epochs
    assert len({id(each) for each in optimizers}) == 3
    assert [before for _, before, *_ in steps_of] == [*range(2 * an_epoch), *range(2 * an_epoch), 0, 0, 1, 1]


def test_a_phase_that_stops_early_gives_its_best_weights_to_the_next(rows, monkeypatch, after_epochs, steps_of):
    with_dev_losses(monkeypatch, [3.0, 2.0, 4.0, 5.0, 9.0])
    trained = fitted(recipe(Phase(epochs=9, patience=2, learning_rate=1e-2), Phase()), rows)
    assert [row["phase"] for row in trained.history] == [1, 1, 1, 1, 2]
    first_of_second = next(
        before for (_, number, before, _), last in zip(steps_of[1:], steps_of, strict=False) if number < last[1]
    )
    best, last = after_epochs[1], after_epochs[3]
    assert {each.tobytes() for each in first_of_second} <= {each.tobytes() for each in best}
    assert not {each.tobytes() for each in first_of_second} <= {each.tobytes() for each in last}


def test_a_phase_ends_with_the_average_of_its_weights_and_dev_is_judged_on_it(rows, steps_of, after_epochs):
    trained = fitted(recipe(Phase(epochs=2, average=0.6, learning_rate=3e-2)), rows)
    expected = steps_of[0][3]
    for *_, after in steps_of[1:]:
        expected = [0.6 * mean + 0.4 * each for mean, each in zip(expected, after, strict=True)]
    for found in (trained.model.get_weights(), after_epochs[-1]):
        assert all(one == pytest.approx(other, abs=1e-5) for one, other in zip(found, expected, strict=True))
    assert any(np.abs(one - other).max() > 1e-3 for one, other in zip(steps_of[-1][3], expected, strict=True))


# Killed and gone on


class Killed(Exception):
    """Stands for a process that ends."""


def killed_after(count, patch, end):
    """Let the training end within the step that comes after `count` batches."""
    left = iter(range(count))

    def spied(*others, epoch=batches.epoch):
        for chunk in epoch(*others):
            if next(left, None) is None:
                end()
            yield chunk

    patch.setattr(batches, "epoch", spied)


def die():
    raise Killed


@pytest.fixture(scope="module")
def whole(rows):
    """The training that nothing interrupts, with all that a checkpoint must hold."""
    return fitted(recipe(*PHASES, mixup=0.3), rows)


@pytest.mark.parametrize("count", [6, 8, 10, 16, 18], ids=lambda count: f"after {count} batches")
def test_a_training_that_was_killed_ends_with_the_bytes_of_one_that_was_not(count, rows, whole, tmp_path, monkeypatch):
    assert -(-len(rows[0].ids) // BATCH) == 4  # batches an epoch: the second phase begins with the ninth
    kept = checkpoint.Checkpoint(tmp_path, {})
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(count, patch, die)
        fitted(recipe(*PHASES, mixup=0.3), rows, checkpoint=kept)
    found = fitted(recipe(*PHASES, mixup=0.3), rows, checkpoint=kept)
    assert found.history == whole.history and bytes_of(found) == bytes_of(whole)


def train_and_die(folder):
    """Train in a process that kills itself within the second phase."""
    with pytest.MonkeyPatch.context() as patch:
        killed_after(10, patch, lambda: os.kill(os.getpid(), signal.SIGKILL))
        fitted(recipe(*PHASES, mixup=0.3), made_up(), checkpoint=checkpoint.Checkpoint(pathlib.Path(folder), {}))


def test_so_does_one_whose_process_was_killed(rows, whole, tmp_path):
    tests = pathlib.Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (tests.parent, tests, tests / "training")))}
    code = f"import test_learner; test_learner.train_and_die({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept = checkpoint.Checkpoint(tmp_path, {})
    assert [row["phase"] for row in kept.read()[0]["history"]] == [1, 1]
    found = fitted(recipe(*PHASES, mixup=0.3), rows, checkpoint=kept)
    assert found.history == whole.history and bytes_of(found) == bytes_of(whole)


def identity(experiment):
    return {"recipe": json.loads(json.dumps(recipes.plain(experiment)))}


def test_a_checkpoint_of_other_phases_is_refused_by_name(rows, tmp_path):
    experiment = recipe(Phase(steps=1))
    fitted(experiment, rows, checkpoint=checkpoint.Checkpoint(tmp_path, identity(experiment)))
    other = recipe(Phase(steps=1), Phase())
    with pytest.raises(InputError, match=r"with another recipe\.network\.phases: restore that to go on"):
        fitted(other, rows, checkpoint=checkpoint.Checkpoint(tmp_path, identity(other)))


# What goes wrong


def test_a_loss_that_spoils_names_phase_step_and_field_and_leaves_the_last_good_checkpoint(rows, tmp_path):
    kept = checkpoint.Checkpoint(tmp_path, {})
    wild = Phase(optimizer="sgd", schedule="constant", learning_rate=1e38)
    told = r"The loss is (nan|inf) at step [2-5] of epoch 2, phase 2: lower network\.phases\[1\]\.learning_rate"
    with pytest.raises(InputError, match=told):
        fitted(recipe(Phase(), wild), rows, checkpoint=kept)
    facts, arrays = kept.read()
    assert [row["phase"] for row in facts["history"]] == [1]
    assert all(np.isfinite(array).all() for array in arrays["model"])


def test_nor_may_a_phases_last_step_spoil_it(rows):
    wild = Phase(optimizer="sgd", schedule="constant", learning_rate=1e38, steps=1)
    with pytest.raises(
        InputError, match=r"is nan on dev after .* last step: lower network\.phases\[0\]\.learning_rate"
    ):
        fitted(recipe(wild), rows)


def of_tensorflow():
    import tensorflow

    return tensorflow.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[32,64,112,112]")


def of_jax():
    return pytest.importorskip("jax").errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")


def of_torch():
    return pytest.importorskip("torch").OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def of_torch_on_a_processor():
    return RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried to")


@pytest.mark.parametrize("full", [of_tensorflow, of_jax, of_torch, of_torch_on_a_processor, MemoryError])
def test_full_memory_names_the_batch_and_what_to_set(full, rows, monkeypatch):
    error = full()

    def run(*_):
        raise error

    monkeypatch.setattr(steps, "compiled", lambda *_, **__: run)
    told = rf"does not hold a step on a batch of {BATCH} rows of shape \({SIDE}, {SIDE}, 3\): lower training\.batch"
    with pytest.raises(InputError, match=told):
        fitted(recipe(Phase()), rows)


def test_another_error_of_a_step_stays_what_it_is(rows, monkeypatch):
    monkeypatch.setattr(steps, "compiled", lambda *_, **__: lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fitted(recipe(Phase()), rows)
