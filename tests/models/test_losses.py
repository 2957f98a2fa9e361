import dataclasses
import functools
import subprocess
import sys

import keras
import numpy as np
import pytest
import unknown
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob.errors import InputError
from mlob.labels import Exclusive, completed, positives
from mlob.models import losses
from mlob.recipes import Experiment, Head, Training

COUNTS = np.array([4000, 100, 7, 0])
EXCLUSIVE = [Exclusive((0, 2), False)]


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 2, (50, 4)).astype(np.float32)
    return targets, generator.normal(0, 3, targets.shape).astype(np.float32)


def probabilities(logits):
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def found(loss, targets, logits):
    return keras.ops.convert_to_numpy(loss(*(keras.ops.array(array, "float32") for array in (targets, logits))))


def shifted(p):
    """The probability of the logit less 1."""
    return 1 / (1 + np.e * (1 - p) / p)


FORMULAS = {
    losses.binary: lambda y, p: -y * np.log(p) - (1 - y) * np.log(1 - p),
    losses.weighted: lambda y, p: -y * np.log(p) - (1 - y) * np.log(1 - p),
    losses.squared_error: lambda y, p: (y - p) ** 2,
    losses.focal: lambda y, p: -y * (1 - p) ** 2 * np.log(p) - (1 - y) * p**2 * np.log(1 - p),
    losses.hill: lambda y, p: -y * (1 - shifted(p)) ** 2 * np.log(shifted(p)) + (1 - y) * (1.5 - p) * p**2,
    losses.asymmetric: lambda y, p: (
        -y * np.log(p) - (1 - y) * np.maximum(p - 0.05, 0) ** 4 * np.log(1 - np.maximum(p - 0.05, 0))
    ),
}


@pytest.mark.parametrize("loss", FORMULAS)
def test_a_loss_is_the_mean_over_labels_of_its_formula(loss, batch):
    targets, logits = batch
    expected = FORMULAS[loss](targets, probabilities(logits)).mean(axis=1)
    assert found(loss, *batch) == pytest.approx(expected, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("has_none", [False, True])
def test_the_categorical_loss_is_the_cross_entropy_of_a_softmax_a_group_and_binary_elsewhere(has_none, batch):
    generator, outputs = np.random.default_rng(1), batch[1]
    classes = generator.integers(0, 3 if has_none else 2, 50)  # of the columns 0 and 2, and none
    targets = batch[0].copy()
    targets[:, [0, 2]] = np.eye(3)[classes, :2]
    taken = np.pad(outputs[:, [0, 2]].astype(np.float64), ((0, 0), (0, 1)), constant_values=0 if has_none else -np.inf)
    entropy = np.log(np.exp(taken).sum(axis=1)) - taken[np.arange(50), classes]
    p, y = probabilities(outputs[:, [1, 3]]), targets[:, [1, 3]]
    expected = (entropy + (-y * np.log(p) - (1 - y) * np.log(1 - p)).sum(axis=1)) / 4
    loss = functools.partial(losses.categorical, exclusive=[Exclusive((0, 2), has_none)])
    assert found(loss, targets, outputs) == pytest.approx(expected, rel=1e-4)


def test_the_categorical_loss_without_groups_is_binary_cross_entropy(batch):
    assert found(losses.categorical, *batch) == pytest.approx(found(losses.binary, *batch), rel=1e-5)


def test_the_categorical_loss_of_every_label_in_a_group_needs_no_other_label():
    loss = functools.partial(losses.categorical, exclusive=[Exclusive((0, 1), False)])
    assert found(loss, np.float32([[1, 0]]), np.float32([[2, 2]])) == pytest.approx([np.log(2) / 2])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="slopes are TensorFlow's")
@pytest.mark.parametrize("name", losses.LOSSES)
def test_no_loss_is_infinite_or_has_an_infinite_slope_whatever_the_logits(name):
    import tensorflow

    loss = losses.LOSSES[name].build(Training(positive_weight=6.0, gamma=4.0), COUNTS, EXCLUSIVE)
    far = np.float32([[-1e4, -100, 100, 1e4], [1e4, 100, -100, -1e4], [0, 0, 0, 0]])
    for targets in (np.zeros_like(far), np.ones_like(far), np.full_like(far, 0.5)):
        logits = tensorflow.Variable(far)
        with tensorflow.GradientTape() as tape:
            value = loss(targets, logits)
        assert np.isfinite(value).all()
        assert np.isfinite(tape.gradient(value, logits)).all()


@pytest.mark.parametrize("name", losses.LOSSES)
def test_a_right_answer_that_is_surer_has_no_higher_loss(name):
    loss = losses.LOSSES[name].build(Training(), COUNTS, EXCLUSIVE)
    targets = np.float32([[1, 0, 0, 1]])
    surer = [found(loss, targets, scale * (2 * targets - 1))[0] for scale in (0, 1, 2, 4, 8)]
    assert surer == sorted(surer, reverse=True) and surer[0] > surer[-1]


@settings(deadline=None, max_examples=20)
@given(st.floats(0.05, 0.95), st.floats(0.5, 8))
def test_weighting_positive_labels_moves_the_best_probability_to_where_its_docstring_says(share, weight):
    logits = np.linspace(-8, 8, 3201, dtype=np.float32)[:, None]
    curve = sum(
        chance * found(lambda y, z: losses.weighted(y, z, positive=weight), np.full_like(logits, y), logits)
        for y, chance in ((1, share), (0, 1 - share))
    )
    best = probabilities(logits[np.argmin(curve), 0])
    assert best == pytest.approx(share * weight / (1 - share + share * weight), abs=5e-3)
    assert (best > 0.5) == (share > 1 / (1 + weight)) or abs(best - 0.5) < 5e-3


def test_with_weights_of_one_and_no_focus_all_are_the_cross_entropy(batch):
    expected = found(losses.binary, *batch)
    for loss in (
        losses.weighted,
        lambda y, z: losses.focal(y, z, gamma=0.0),
        lambda y, z: losses.asymmetric(y, z, gamma=0.0, margin=0.0),
    ):
        assert found(loss, *batch) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_weight_of_a_label_scales_that_labels_part_alone(batch):
    targets, logits = batch
    parts = [found(losses.binary, targets[:, [column]], logits[:, [column]]) for column in range(4)]
    weights = np.float32([1, 2, 0, 5])
    expected = np.stack(parts, axis=1) @ weights / 4
    assert found(lambda y, z: losses.weighted(y, z, label=weights), *batch) == pytest.approx(expected, rel=1e-4)


def test_an_absent_label_below_the_margin_costs_nothing():
    assert found(losses.asymmetric, np.zeros((1, 2)), np.float32([[-10, -3]]))[0] < 1e-12
    assert found(losses.asymmetric, np.zeros((1, 2)), np.float32([[-10, 3]]))[0] > 0.1


def test_the_hill_loss_hardly_pulls_at_a_negative_label_that_the_head_is_sure_of():
    logits = np.linspace(-8, 8, 1601, dtype=np.float32)[:, None]
    slopes = np.gradient(found(losses.hill, np.zeros_like(logits), logits).astype(np.float64), 0.01)
    p = probabilities(logits[:, 0])
    assert slopes == pytest.approx(3 * p**2 * (1 - p) ** 2, abs=1e-3)


def entropy(shares):
    return -(shares * np.log(shares)).sum()


def test_the_complement_is_the_entropy_of_the_labels_that_a_photo_lacks():
    targets, logits = np.float32([[1, 0, 0, 0]]), np.float32([[2, -1, 0, 3]])
    absent = probabilities(logits[0, 1:])
    less = found(losses.binary, targets, logits) - found(losses.complement, targets, logits)
    assert less == pytest.approx(entropy(absent / absent.sum()) / 3, rel=1e-4)


def test_the_complement_rewards_equal_absent_labels_and_is_nothing_where_none_is_absent():
    targets = np.float32([[1, 0, 0]])
    even, uneven = (found(losses.complement, targets, np.float32([[0, *rest]]))[0] for rest in ((-2, -2), (-9, -2)))
    assert found(losses.binary, targets, np.float32([[0, -2, -2]]))[0] - even == pytest.approx(np.log(2) / 2, rel=1e-4)
    assert found(losses.binary, targets, np.float32([[0, -9, -2]]))[0] - uneven < 0.01
    full = np.ones((1, 3), np.float32)
    assert found(losses.complement, full, full) == pytest.approx(found(losses.binary, full, full))


def test_mlobs_weights_fall_with_the_count_to_a_fortieth_of_ten():
    weights = losses.frequency_weights(COUNTS)
    assert weights.dtype == np.float32
    assert weights[3] == pytest.approx(10 * (1 + 1 / 4000), rel=1e-5)
    assert weights[2] == pytest.approx(10 * (1 / 7 + 1 / 4000), rel=1e-5)
    assert weights[1] == weights[0] == pytest.approx(0.25)


def test_class_balanced_weights_run_from_inverse_counts_to_equal_ones():
    few = np.array([1, 2, 4])
    inverse = losses.balanced_weights(few, beta=1 - 1e-9)
    assert inverse == pytest.approx((1 / few) / (1 / few).mean(), rel=1e-4)
    assert losses.balanced_weights(few, beta=0.0) == pytest.approx(np.ones(3))
    assert losses.balanced_weights(10_000 * few) == pytest.approx(np.ones(3), rel=1e-3)
    assert losses.balanced_weights(COUNTS).mean() == pytest.approx(1)


def test_smoothing_keeps_the_middle_and_draws_the_ends_towards_it():
    assert losses.smoothed(np.array([0, 0.5, 1]), 0.1) == pytest.approx([0.05, 0.5, 0.95])


def test_smoothing_draws_the_classes_of_a_group_towards_equal_chances(batch):
    exclusive = [Exclusive((0, 2), False), Exclusive((1, 3), True)]
    towards = losses.chances(4, exclusive)
    assert towards == pytest.approx([1 / 2, 1 / 3, 1 / 2, 1 / 3])
    training, targets = Training(loss="categorical", label_smoothing=0.3), np.uint8([[1, 0, 0, 1]])
    smoothing = losses.of(training, targets, exclusive)
    plain = functools.partial(losses.categorical, exclusive=exclusive)
    expected = found(plain, 0.7 * targets + 0.3 * towards, batch[1][:1])
    assert found(smoothing, targets, batch[1][:1]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_the_recipe_chooses_the_loss_and_its_numbers(name, batch):
    targets = np.zeros((4001, 4), np.uint8)
    for column, count in enumerate(COUNTS):
        targets[:count, column] = 1
    training = Training(loss=name, positive_weight=3.0, gamma=1.5)
    chosen = found(losses.of(training, targets), *batch)
    expected = {
        "binary": losses.binary,
        "weighted": lambda y, z: losses.weighted(y, z, positive=3.0),
        "frequency": lambda y, z: losses.weighted(y, z, label=losses.frequency_weights(COUNTS)),
        "squared_error": lambda y, z: losses.squared_error(y, z, losses.frequency_weights(COUNTS)),
        "focal": lambda y, z: losses.focal(y, z, 1.5, 3.0),
        "asymmetric": lambda y, z: losses.asymmetric(y, z, 1.5),
        "hill": lambda y, z: losses.hill(y, z, 1.5),
        "class_balanced": lambda y, z: losses.weighted(y, z, positive=losses.balanced_weights(COUNTS)),
        "complement": losses.complement,
        "categorical": losses.binary,
        "class_weighted": losses.binary,  # without groups, as here
    }[name]
    assert chosen == pytest.approx(found(expected, *batch))
    smoothing = losses.of(dataclasses.replace(training, label_smoothing=0.2), targets)
    assert found(smoothing, *batch) == pytest.approx(found(expected, losses.smoothed(batch[0], 0.2), batch[1]))


def test_an_unknown_loss_is_refused_with_the_nearest_names():
    losses.check(Experiment(("a",)))
    with pytest.raises(InputError, match=r"training\.loss is 'binry'\. Did you mean binary\?"):
        losses.check(Experiment(("a",), training=Training(loss="binry")))
    with pytest.raises(InputError, match=r"training\.loss is '2'; there are: asymmetric, .*weighted\."):
        losses.check(Experiment(("a",), training=Training(loss="2")))


@pytest.mark.parametrize("name", losses.LOSSES)
def test_a_loss_of_softmaxes_needs_a_head_that_has_them(name):
    losses.check(Experiment(("a",), Head(groups=True), Training(loss=name)))
    without = Experiment(("a",), Head(groups=False), Training(loss=name))
    if not losses.LOSSES[name].of_softmaxes:
        return losses.check(without)
    with pytest.raises(InputError, match=rf"training\.loss={name} is a loss of softmaxes: it needs head\.groups"):
        losses.check(without)


@pytest.mark.parametrize("has_none", [True, False])
def test_class_weights_multiply_the_loss_of_the_true_class(has_none):
    generator = np.random.default_rng(0)
    targets = np.eye(4, dtype=np.float32)[generator.integers(0, 3 + has_none, 50)][:, :3]
    outputs = generator.normal(0, 2, (50, 3)).astype(np.float32)
    weights = losses.class_weights(np.array([30, 10, 5]), [Exclusive((0, 1, 2), has_none)])
    assert weights == pytest.approx([45 / (3 * 31), 45 / (3 * 11), 45 / (3 * 6)])  # as in [Fashion products]
    scores = np.column_stack([outputs, np.zeros(50)]) if has_none else outputs
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    true = np.where(targets.any(axis=1), targets.argmax(axis=1), 3)
    expected = np.append(weights, 1)[true] * -np.log(shares[np.arange(50), true]) / 3
    exclusive = [Exclusive((0, 1, 2), has_none)]
    found = losses.categorical(targets, outputs, exclusive, label=weights)
    assert np.asarray(found) == pytest.approx(expected, rel=1e-4)


def test_a_label_outside_of_groups_weighs_one():
    assert losses.class_weights(np.array([3, 9, 2]), [Exclusive((0, 2), False)])[1] == 1


def test_names_of_losses_are_checked_without_keras():
    code = "import sys; from mlob.models.losses import LOSSES; print(len(LOSSES), 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(losses.LOSSES)), "False"]


PLAIN = [name for name in losses.LOSSES if name not in ("complement", "categorical")]  # a sum of terms, one a label
HALVES = np.random.default_rng(5).random((50, 4)) < 0.5


def of_known(name, targets, known, **changes):
    """A recipe's loss, its targets unknown but where they are known."""
    masked = np.where(known, targets, 255).astype(np.uint8)
    return losses.of(Training(loss=name, positive_weight=3.0, **changes), masked, EXCLUSIVE), masked


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("name", losses.LOSSES)
def test_nothing_under_an_unknown_target_counts_nor_pulls(name, smoothing, batch):
    import tensorflow

    targets, logits = batch
    loss, masked = of_known(name, targets, HALVES, label_smoothing=smoothing)
    assert unknown.same_bytes(found(loss, masked, logits), found(loss, unknown.recoded(masked, 2), logits))
    given = tensorflow.constant(logits)
    with tensorflow.GradientTape() as tape:
        tape.watch(given)
        value = loss(tensorflow.constant(masked, tensorflow.float32), given)
    slopes = tape.gradient(value, given).numpy()
    assert np.isfinite(slopes).all() and slopes[HALVES].any()
    if name != "categorical":
        assert not slopes[~HALVES].any()
        moved = np.where(HALVES, logits, logits + 2)
        assert found(loss, masked, moved) == pytest.approx(found(loss, masked, logits), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", PLAIN)
def test_weights_count_where_some_targets_are_unknown_too(name, batch):
    targets, logits = batch
    masked, weights = np.where(HALVES, targets, 255).astype(np.uint8), np.float32([2, 0.5, 2, 0.25])
    training = Training(loss=name, positive_weight=3.0)
    build = losses.LOSSES[name].build(training, positives(masked).sum(axis=0), ())
    expected = found(lambda y, z: build(y, z, weights=weights * HALVES), np.where(HALVES, targets, 0), logits)
    weighed = losses.of(training, masked, label_weights=weights)
    assert found(weighed, masked, logits) == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", PLAIN)
def test_weights_are_multiplied_in_as_they_are(name, batch):
    targets, logits = batch
    training, weights = Training(loss=name, positive_weight=3.0), np.float32([2, 0.5, 2, 0.25])
    weighed = losses.of(training, targets.astype(np.uint8), label_weights=weights)
    build = losses.LOSSES[name].build(training, positives(targets).sum(axis=0), ())
    of_each = [
        found(lambda y, z, own=own: build(y, z, weights=own), targets, logits) for own in np.eye(4, dtype=np.float32)
    ]
    assert found(weighed, targets, logits) == pytest.approx(weights @ of_each, rel=1e-4, abs=1e-6)


def test_an_exclusive_group_weighs_as_one(batch):
    _, logits = batch
    targets = np.eye(4, dtype=np.float32)[np.arange(50) % 2 * 2]  # one of the group's two labels
    training, weights = Training(loss="categorical"), np.float32([3, 1, 3, 1])
    weighed = losses.of(training, targets.astype(np.uint8), EXCLUSIVE, weights)
    plain = losses.of(training, targets.astype(np.uint8), EXCLUSIVE)
    twice = losses.of(training, targets.astype(np.uint8), EXCLUSIVE, np.float32([5, 1, 5, 1]))
    steps = [found(loss, targets, logits) for loss in (plain, weighed, twice)]
    assert steps[1] - steps[0] == pytest.approx(steps[2] - steps[1], rel=1e-3, abs=1e-6) and (steps[1] > steps[0]).all()


@pytest.mark.parametrize("name", PLAIN)
def test_what_two_annotators_know_between_them_weighs_as_what_one_knows(name, batch):
    targets, logits = batch
    build = losses.LOSSES[name].build(Training(loss=name, positive_weight=3.0), COUNTS, ())
    one, other = (
        found(lambda y, z, known=known: build(y, z, weights=known), np.where(known, targets, 0), logits)
        for known in (HALVES.astype(np.float32), (~HALVES).astype(np.float32))
    )
    assert one + other == pytest.approx(found(build, targets, logits), rel=1e-4, abs=1e-6)


def test_the_complement_is_the_known_negatives(batch):
    targets, logits = batch
    known = np.array([True, False, True, True])
    loss, masked = of_known("complement", targets, np.broadcast_to(known, targets.shape))
    entropy = found(losses.binary, targets[:, known], logits[:, known]) - found(
        losses.complement, targets[:, known], logits[:, known]
    )
    expected = found(losses.binary, targets[:, known], logits[:, known]) * 3 / 4 - entropy
    assert found(loss, masked, logits) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("has_none", [False, True])
def test_a_group_of_which_a_row_knows_but_a_part_adds_nothing_and_one_whose_label_it_knows_adds_all(has_none):
    exclusive = [Exclusive((0, 2), has_none)]
    logits = np.random.default_rng(0).normal(0, 3, (4, 4)).astype(np.float32)
    targets = np.uint8([[1, 0, 0, 1]] * 4)
    hidden = np.uint8([[1, 0, 255, 1], [255, 0, 0, 1], [255, 0, 255, 1], [1, 255, 0, 1]])
    hidden = completed(hidden, exclusive)
    loss = losses.of(Training(loss="categorical"), hidden, exclusive)
    whole = losses.of(Training(loss="categorical"), targets, exclusive)
    alone = found(losses.binary, targets[:, [1, 3]], logits[:, [1, 3]]) / 2  # a mean over two of four
    values = found(loss, hidden, logits)
    assert values[:1] == pytest.approx(found(whole, targets, logits)[:1], rel=1e-5)
    assert values[1:3] == pytest.approx(alone[1:3], rel=1e-5)
    without = found(losses.binary, targets[:, [1]], logits[:, [1]]) / 4
    assert values[3:] == pytest.approx((found(whole, targets, logits) - without)[3:], rel=1e-4)


def test_weights_go_by_the_known_positives():
    targets = np.uint8([[1, 255], [1, 255], [0, 1]])
    loss = losses.of(Training(loss="frequency"), targets)
    weights = losses.frequency_weights(np.array([2, 1]))
    expected = found(lambda y, z: losses.weighted(y, z, label=weights), [[0, 1]], [[0.5, 0.5]])
    assert found(loss, [[0, 1]], [[0.5, 0.5]]) == pytest.approx(expected)
