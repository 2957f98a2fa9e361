import dataclasses

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel

from mlob import recipes
from mlob.errors import InputError
from mlob.labels import Exclusive
from mlob.models import heads
from mlob.recipes import KERNEL
from mlob.training import kernel
from mlob.training.batches import Labelled

GROUPS = ("colour", "colour", "colour", "length", "other")
SETTING = (0.7, 0.1)


def labelled(features, targets, **more):
    return Labelled(np.array([str(row) for row in range(len(targets))], object), features, targets, **more)


@pytest.fixture(scope="module")
def rows():
    """Rows of one of three colours or none, and two labels by themselves."""
    generator = np.random.default_rng(0)
    colour = np.eye(4, dtype=np.uint8)[generator.integers(4, size=120)][:, :3]
    targets = np.concatenate([colour, (generator.random((120, 2)) < (0.5, 0.2)).astype(np.uint8)], axis=1)
    features = targets @ generator.normal(size=(5, 8)) + 0.7 * generator.normal(size=(120, 8)) + 2
    return labelled(features.astype(np.float16), targets)


@pytest.fixture(scope="module")
def kernels(rows):
    generator = np.random.default_rng(1)
    return rbf_kernel(generator.normal(size=(len(rows.ids), 3)))


def test_it_is_scikit_learns_kernel_ridge_with_a_constant(rows, kernels):
    coefficients, _ = kernel.ridge_regression(kernels, rows.targets, 0.3)
    exact = KernelRidge(alpha=0.3, kernel="precomputed").fit(kernels + 1, rows.targets.astype(float))
    assert coefficients == pytest.approx(exact.dual_coef_, abs=1e-9)


@pytest.mark.parametrize("share", [0, 0.2])
def test_scores_that_leave_a_row_out_are_those_of_a_fit_without_it(rows, kernels, share):
    unknown = np.random.default_rng(2).random((len(rows.ids), 2)) < share
    targets = rows.targets.copy()
    targets[:, 3:][unknown] = 255
    _, left_out = kernel.ridge_regression(kernels, targets, 0.3)
    for row in range(0, len(targets), 7):
        for label in (0, 3, 4):
            others = np.flatnonzero((targets[:, label] <= 1) & (np.arange(len(targets)) != row))
            without = KernelRidge(alpha=0.3, kernel="precomputed").fit(
                kernels[np.ix_(others, others)] + 1, targets[others, label].astype(float)
            )
            expected = without.predict(kernels[[row]][:, others] + 1)
            assert left_out[row, label] == pytest.approx(expected.item(), abs=1e-9)


def test_what_stands_where_nobody_knows_changes_nothing(rows, kernels):
    hidden = np.random.default_rng(3).random(rows.targets.shape) < 0.1
    found = [
        kernel.ridge_regression(kernels, np.where(hidden, code, rows.targets).astype(np.uint8), 0.3)
        for code in (2, 255)
    ]
    assert all(one.tobytes() == other.tobytes() for one, other in zip(*found, strict=True))


def test_a_group_has_scikit_learns_softmax_and_a_label_its_own_regression(rows):
    generator = np.random.default_rng(4)
    scores = rows.targets + generator.normal(size=rows.targets.shape)
    mix, biases = kernel.calibration(scores, rows.targets, [Exclusive((0, 1, 2), True)])
    outputs = scores @ mix + biases
    classes = np.where(rows.targets[:, :3].any(axis=1), rows.targets[:, :3].argmax(axis=1), 3)
    group = LogisticRegression(C=kernel.STRENGTH, max_iter=300).fit(scores[:, :3], classes)
    of_group = softmax(np.c_[outputs[:, :3], np.zeros(len(outputs))], axis=1)
    assert of_group == pytest.approx(group.predict_proba(scores[:, :3]), abs=1e-4)
    alone = LogisticRegression(C=kernel.STRENGTH).fit(scores[:, [4]], rows.targets[:, 4])
    assert expit(outputs[:, 4]) == pytest.approx(alone.predict_proba(scores[:, [4]])[:, 1], abs=1e-4)


@pytest.mark.parametrize("groups", [GROUPS, None])
def test_the_model_predicts_what_the_formulas_say(rows, groups):
    trained = kernel.fit_at(SETTING, KERNEL, rows, groups)
    fresh = np.random.default_rng(5).normal(2, 2, (40, 8)).astype(np.float16)
    root = heads.signed_sqrt(rows.features)
    mean, deviation = root.mean(axis=0), root.std(axis=0)
    near = lambda features: (heads.signed_sqrt(features) - mean) / deviation / np.sqrt(8)  # noqa: E731
    among = rbf_kernel(near(rows.features), gamma=0.7)
    coefficients, left_out = kernel.ridge_regression(among, rows.targets, 0.1)
    exclusive = [Exclusive((0, 1, 2), True)] if groups else []
    mix, biases = kernel.calibration(left_out, rows.targets, exclusive)
    outputs = (rbf_kernel(near(fresh), near(rows.features), gamma=0.7) + 1) @ coefficients @ mix + biases
    expected = expit(outputs)
    if groups:
        expected[:, :3] = softmax(np.c_[outputs[:, :3], np.zeros(40)], axis=1)[:, :3]
    assert trained.predict(fresh) == pytest.approx(expected, abs=2e-4)


def test_each_store_counts_alike_however_long_it_is(rows):
    """The same store twice says no more than once; a store of one feature says as much as one of eight."""
    fresh = np.random.default_rng(6).normal(2, 2, (20, 8)).astype(np.float16)
    twice = dataclasses.replace(rows, features=np.tile(rows.features, 2), widths=(8, 8))
    once = kernel.fit_at(SETTING, KERNEL, rows, GROUPS).predict(fresh)
    assert kernel.fit_at(SETTING, KERNEL, twice, GROUPS).predict(np.tile(fresh, 2)) == pytest.approx(once, abs=1e-4)
    one = np.concatenate([rows.features, rows.features[:, :1]], axis=1)
    mean = np.concatenate([rows.features, np.repeat(rows.features[:, :1], 8, axis=1)], axis=1)
    found = [
        kernel.fit_at(SETTING, KERNEL, labelled(features, rows.targets, widths=widths), GROUPS).predict(features)
        for features, widths in ((one, (8, 1)), (mean, (8, 8)))
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-4)


def test_the_order_of_rows_changes_nothing(rows):
    order = np.random.default_rng(7).permutation(len(rows.ids))
    mixed = labelled(rows.features[order], rows.targets[order])
    found = [kernel.fit_at(SETTING, KERNEL, each, GROUPS).predict(rows.features) for each in (rows, mixed)]
    assert found[0] == pytest.approx(found[1], abs=1e-3)


def test_of_maps_the_average_over_the_places_is_taken(rows):
    maps = np.repeat(rows.features, 6, axis=0).reshape(len(rows.ids), 2, 3, 8)
    found = kernel.fit_at(SETTING, KERNEL, labelled(maps, rows.targets), GROUPS).predict(maps)
    assert found == pytest.approx(kernel.fit_at(SETTING, KERNEL, rows, GROUPS).predict(rows.features), abs=1e-4)


def test_a_label_that_no_row_has_is_never_given_and_one_that_all_have_always(rows):
    targets = rows.targets.copy()
    targets[:, 1], targets[:, 3], targets[:, 4] = 0, 1, 0
    found = kernel.fit_at(SETTING, KERNEL, labelled(rows.features, targets), GROUPS).predict(rows.features)
    assert found[:, [1, 4]].max() < 1e-3 and found[:, 3].min() > 1 - 1e-3


def test_width_and_ridge_have_the_lowest_log_loss_by_leave_one_out_of_those_tried(rows):
    trained = kernel.fit(KERNEL, rows, rows, GROUPS)
    gamma, ridge = trained.setting

    def loss(gamma, ridge):
        distances = kernel._prepared(KERNEL, rows, GROUPS).distances
        _, scores = kernel.ridge_regression(np.exp(-gamma * distances), rows.targets, ridge)
        return kernel._log_loss(scores, rows.targets, [Exclusive((0, 1, 2), True)])

    assert all(loss(gamma, ridge) <= loss(gamma, other) for other in kernel.RIDGES)
    assert f"gamma = {gamma:g}, ridge = {ridge:g}" in trained.note


def test_the_saved_model_predicts_the_same_bytes(rows, tmp_path):
    trained = kernel.fit_at(SETTING, KERNEL, rows, GROUPS)
    trained.model.save(tmp_path / "head.keras")
    loaded = heads.load(tmp_path / "head.keras")
    fresh = keras.ops.convert_to_numpy(loaded(rows.features))
    assert fresh.tobytes() == trained.predict(rows.features).tobytes()


def test_more_rows_than_it_can_learn_from_are_refused(rows, monkeypatch):
    monkeypatch.setattr(recipes, "KERNEL_ROWS", 100)
    with pytest.raises(InputError, match=r"learns from 100 photos at most, found 120: lower training\.limit"):
        kernel.fit(KERNEL, rows, rows)
