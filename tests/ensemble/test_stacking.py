import dataclasses
import functools
import sys

import numpy as np
import pytest
import unknown

from mlob.ensemble import convolution, linear, methods, simplex, stacking, trees
from mlob.ensemble.blend import arithmetic
from mlob.errors import InputError
from mlob.metrics import highest_micro_f1

FITS = [
    pytest.param(linear.fit, id="linear"),
    pytest.param(convolution.fit, id="convolution", marks=pytest.mark.slow),
    pytest.param(trees.fit, id="trees"),
]


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(stacking, "FOLDS", 2)
    monkeypatch.setattr(convolution, "EPOCHS", 2)
    monkeypatch.setattr(convolution, "UNITS", 8)
    monkeypatch.setattr(trees, "COUNTS", (0, 5))
    monkeypatch.setattr(trees, "RARE", 5)


@pytest.fixture(scope="module")
def made(members_of):
    return functools.partial(members_of, photos=120, labels=4, prevalence=0.3)


def grouped(n, seed):
    """Two groups of two labels, one label of each a photo, and always the same pairs; one group is hard to see."""
    generator = np.random.default_rng(seed)
    targets = np.repeat(np.eye(2, dtype=np.uint8)[generator.integers(0, 2, n)], 2, axis=1)[:, [0, 2, 1, 3]]
    logits = (2 * targets - 1) * [2, 2, 0.2, 0.2] + generator.normal(size=(2, n, 4))
    return (1 / (1 + np.exp(-logits))).astype(np.float32), targets


def log_loss(targets, probabilities):
    likelihoods = np.where(targets == 1, probabilities, 1 - probabilities)
    return -np.log(np.clip(likelihoods, 1e-4, 1)).mean()


@pytest.mark.parametrize("fit", FITS)
def test_it_gives_probabilities_photo_by_photo_and_out_of_fold_ones_for_its_own(fit, made):
    members, targets = made([2, 1, 0.5])
    fitted = fit(members, targets, seed=0)
    for probabilities, photos in ((fitted.predict(members[:, :7]), 7), (fitted.out_of_fold, 120)):
        assert probabilities.shape == (photos, 4) and probabilities.dtype == np.float32
        assert (probabilities >= 0).all() and (probabilities <= 1).all()
    assert fitted.predict(members[:, :0]).shape == (0, 4)
    assert fitted.predict(members[:, 5:6]) == pytest.approx(fitted.predict(members)[5:6], abs=1e-5)


@pytest.mark.parametrize("fit", FITS)
def test_one_seed_gives_one_set_of_bytes_here_and_from_its_arrays(fit, made):
    members, targets = made([2, 1, 0.5])
    first, again = (fit(members, targets, seed=5) for _ in range(2))
    assert first.predict(members).tobytes() == again.predict(members).tobytes()
    assert first.out_of_fold.tobytes() == again.out_of_fold.tobytes()
    decision = methods.Decision(first, np.full(4, 0.5, np.float32))
    assert all(array.dtype.kind in "iuf" for array in decision.arrays().values())
    read_back = methods.rebuilt(decision.kind, decision.arrays(), 3)
    assert read_back.probabilities(members).tobytes() == first.predict(members).tobytes()


@pytest.mark.parametrize("photos", [5, 30, 400])
def test_trees_taken_apart_predict_what_scikit_learn_does_stage_by_stage(photos, monkeypatch):
    whole, taken_apart = [], trees.taken_apart
    monkeypatch.setattr(trees, "taken_apart", lambda model: whole.append(model) or taken_apart(model))
    generator = np.random.default_rng(photos)
    inputs, wrong_by = generator.normal(size=(2, photos, 3)).astype(np.float32), generator.normal(size=photos)
    boosted = trees.boost(inputs[0], wrong_by, 40, 0)
    for rows in inputs:
        assert np.array_equal(boosted.stages(rows), list(whole[0].staged_predict(rows)))


def test_blocks_beyond_the_labels_are_refused(made):
    fitted = linear.fit(*made([1]), seed=0)
    with pytest.raises(ValueError, match="more blocks than labels"):
        dataclasses.replace(fitted, block=np.array([0, 10**12, 1, 2])).predict(made([1])[0])


@pytest.mark.parametrize("fit", FITS)
def test_no_photo_is_seen_by_the_fit_that_holds_it_out(fit, monkeypatch, made):
    monkeypatch.setattr(convolution, "EPOCHS", 1)  # nor does stopping early choose
    members, targets = made([1, 1], photos=60)
    _, outside = stacking.inner_folds(members, targets, 0)[0]
    fitted = fit(members, targets, seed=0)
    if fit is convolution.fit:  # its blend's weights, two numbers, are of all photos
        targets[outside], weights = 1 - targets[outside], fitted.base_weights
        monkeypatch.setattr(simplex, "search", lambda *_: simplex.Optimum(weights, 0.0, 0.0))
    else:
        monkeypatch.setattr(linear, "PENALTIES", (float(fitted.penalty) if fit is linear.fit else 1,))
        monkeypatch.setattr(trees, "COUNTS", (5,))
        fitted = fit(members, targets, seed=0)
        targets[outside] = 1 - targets[outside]
    assert np.array_equal(fit(members, targets, seed=0).out_of_fold[outside], fitted.out_of_fold[outside])


def test_equal_photos_share_an_inner_fold(made):
    members, targets = made([1, 1], photos=60)
    keys = np.random.default_rng(1).integers(20, size=60).tolist()
    inner = stacking.inner_folds(members, targets, 0, keys)
    assert len(inner) == 2 and sum(outside.sum() for _, outside in inner) == 60
    for inside, outside in inner:
        assert np.array_equal(inside, ~outside) and outside.any()
        assert not {keys[row] for row in inside.nonzero()[0]} & {keys[row] for row in outside.nonzero()[0]}
    assert np.array_equal(
        stacking.inner_folds(members, targets, 0, list(range(60))), stacking.inner_folds(members, targets, 0)
    )


@pytest.mark.parametrize("fit", FITS)
def test_a_stacker_is_given_which_photos_are_equal(fit, monkeypatch, made):
    seen, plain = [], stacking.inner_folds
    module = sys.modules[fit.__module__]
    monkeypatch.setattr(module, "inner_folds", lambda *given: seen.append(given[-1]) or plain(*given))
    keys = [row // 2 for row in range(40)]
    fit(*made([1], photos=40), seed=0, keys=keys)
    assert seen == [keys]


@pytest.mark.parametrize("fit", FITS)
def test_a_perfect_member_is_followed(fit, made):
    members, targets = made([1, 1])
    members[1] = targets
    fitted = fit(members, targets, seed=0)
    assert highest_micro_f1(targets, fitted.out_of_fold) == 1
    others, wanted = made([1, 1], seed=1)
    others[1] = wanted
    assert np.array_equal(fitted.predict(others) > 0.5, wanted == 1)


@pytest.mark.parametrize("fit", [linear.fit, trees.fit])
def test_what_one_label_says_of_another_is_learned(fit, monkeypatch):
    monkeypatch.setattr(trees, "COUNTS", (40,))
    members, targets = grouped(400, seed=0)
    others, wanted = grouped(400, seed=1)
    blended = arithmetic(others, simplex.search(members, targets).weights)
    assert log_loss(wanted, fit(members, targets, seed=0).predict(others)) < 0.8 * log_loss(wanted, blended)


def test_labels_of_a_group_compete_where_no_photo_has_two():
    members, targets = grouped(200, seed=0)
    fitted = linear.fit(members, targets, seed=0, groups=["a", "a", "b", "b"])
    sums = fitted.predict(members).reshape(-1, 2, 2).sum(axis=2)
    assert fitted.block.tolist() == [0, 0, 1, 1] and (sums <= 1 + 1e-6).all() and sums.mean() > 0.95
    targets[0] = 1
    assert linear.fit(members, targets, seed=0, groups=["a", "a", "b", "b"]).block.tolist() == [0, 1, 2, 3]


def test_without_a_correction_the_linear_stacker_is_the_blend(made):
    members, targets = made([2, 1])
    fitted = linear.fit(members, targets, seed=0)
    plain = dataclasses.replace(fitted, coefficients=np.zeros_like(fitted.coefficients))
    blended = np.clip(arithmetic(members, fitted.base_weights), 1e-4, 1 - 1e-4)
    assert plain.predict(members) == pytest.approx(blended, abs=1e-6)
    pairs = dataclasses.replace(plain, block=np.array([0, 0, 1, 1]))
    assert pairs.predict(members / 2) == pytest.approx(np.clip(blended / 2, 1e-4, 1), abs=1e-6)


def test_an_untrained_network_gives_the_blend(monkeypatch, made):
    monkeypatch.setattr(convolution, "EPOCHS", 0)
    members, targets = made([2, 1, 1, 1])
    fitted = convolution.fit(members, targets, seed=0)
    blended = arithmetic(members, fitted.base_weights)
    assert fitted.predict(members) == pytest.approx(blended, abs=2e-4)


def test_the_linear_stacker_ends_where_its_slopes_vanish(monkeypatch, made):
    monkeypatch.setattr(linear, "PENALTIES", (1000,))
    members, targets = made([2, 1])
    fitted = linear.fit(members, targets, seed=0)
    components = (stacking.side_by_side(members) - fitted.centre) @ fitted.axes
    inputs = np.hstack([components, np.ones((len(components), 1))])
    ridge = np.append(np.full(components.shape[1], fitted.penalty), 1)[:, np.newaxis]
    slopes = inputs.T @ (fitted.predict(members) - targets.astype(float)) + ridge * fitted.coefficients
    assert np.abs(slopes).max() < 0.2  # of sums over 120 photos


@pytest.mark.parametrize("fit", FITS)
def test_rare_labels_one_member_constant_members_and_no_positives_are_no_trouble(fit, made):
    members, targets = made([1], photos=12)
    targets[:, 0], targets[1:, 1] = 0, 0
    assert np.isfinite(fit(members, targets, seed=0).predict(members)).all()
    constant = np.full((2, 12, 4), 0.5, np.float32)
    assert np.isfinite(fit(constant, 0 * targets, seed=0).predict(constant)).all()


def test_members_that_never_vary_are_not_blown_up_when_they_vary_later(made):
    members, _ = made([1, 1])
    constant = np.broadcast_to(members[:, :1], members.shape)
    centre, axes = stacking.principal_axes(stacking.side_by_side(constant), 0)
    moved = stacking.side_by_side(members) - centre
    assert np.linalg.norm(moved @ axes) <= np.linalg.norm(moved) * (1 + 1e-5)
    assert stacking.principal_axes(stacking.side_by_side(members), 0)[1].any()


def test_a_label_too_rare_for_trees_keeps_the_blend(monkeypatch, made):
    monkeypatch.setattr(trees, "COUNTS", (5,))
    members, targets = made([2, 1])
    targets[4:, 2] = 0
    fitted = trees.fit(members, targets, seed=0)
    blended = arithmetic(members, fitted.base_weights)
    assert 2 not in fitted.columns and np.array_equal(fitted.predict(members)[:, 2], blended[:, 2])
    assert not np.array_equal(fitted.predict(members)[:, 0], blended[:, 0])


def test_fewer_photos_than_inner_folds_make_a_fold_each(monkeypatch, made):
    monkeypatch.setattr(stacking, "FOLDS", 5)
    members, targets = made([1, 1], photos=3)
    assert linear.fit(members, targets, seed=0).out_of_fold.shape == targets.shape


@pytest.mark.parametrize("fit", FITS)
def test_fewer_than_two_photos_and_what_is_no_probability_are_refused(fit, made):
    members, targets = made([1, 1], photos=1)
    with pytest.raises(InputError, match="at least 2 different photos"):
        fit(members, targets, seed=0)
    members, targets = made([1, 1])
    members[0, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"must lie in \[0, 1\]"):
        fit(members, targets, seed=0)


@pytest.mark.parametrize("fit", FITS)
def test_what_is_unknown_teaches_nothing_whatever_its_code(fit, made):
    members, targets = made([2, 1])
    targets[np.random.default_rng(0).random(targets.shape) < 0.3] = 255
    one, other = (fit(members, unknown.recoded(targets, code), seed=0) for code in (2, 255))
    assert unknown.same_bytes(vars(one), vars(other))
    mistaken = np.where(targets > 1, 0, targets).astype(np.uint8)
    assert one.predict(members).sum() > fit(members, mistaken, seed=0).predict(members).sum()


def test_the_slopes_of_the_linear_stacker_vanish_over_what_is_known(monkeypatch, made):
    monkeypatch.setattr(linear, "PENALTIES", (1000,))
    members, targets = made([2, 1])
    targets[np.random.default_rng(0).random(targets.shape) < 0.3] = 255
    fitted = linear.fit(members, targets, seed=0)
    components = (stacking.side_by_side(members) - fitted.centre) @ fitted.axes
    inputs = np.hstack([components, np.ones((len(components), 1))])
    ridge = np.append(np.full(components.shape[1], fitted.penalty), 1)[:, np.newaxis]
    wrong_by = np.where(targets > 1, 0, fitted.predict(members) - targets.astype(float))
    assert np.abs(inputs.T @ wrong_by + ridge * fitted.coefficients).max() < 0.2


def test_of_a_group_of_labels_that_compete_a_photo_counts_that_knows_its_label_or_all_it_lacks(monkeypatch):
    monkeypatch.setattr(linear, "PENALTIES", (1000,))
    members, targets = grouped(200, seed=0)
    members, groups = members[:1], ["a", "a", "b", "b"]
    lost = np.zeros(len(targets), bool)
    lost[::3] = True
    variants = {name: targets.copy() for name in ("positive", "negative", "none")}
    for name, variant in variants.items():
        hidden = variant[:, :2] != {"positive": 1, "negative": 0}.get(name, 255)
        variant[:, :2][hidden & lost[:, np.newaxis]] = 255
    fits = {name: linear.fit(members, variant, seed=0, groups=groups) for name, variant in variants.items()}
    whole = linear.fit(members, targets, seed=0, groups=groups)
    assert np.array_equal(fits["positive"].coefficients, whole.coefficients)
    assert np.array_equal(fits["negative"].coefficients, fits["none"].coefficients)
    assert not np.array_equal(fits["none"].coefficients, whole.coefficients)


def test_a_label_has_trees_by_the_photos_that_know_it(monkeypatch, made):
    monkeypatch.setattr(trees, "COUNTS", (5,))
    members, targets = made([2, 1])
    targets[::2, 1], targets[:, 2] = 255, 255
    fitted = trees.fit(members, targets, seed=0)
    assert fitted.columns.tolist() == [0, 1, 3]
    blended = arithmetic(members, fitted.base_weights)
    shared = (stacking.side_by_side(members) - fitted.centre) @ fitted.axes
    inputs = trees._inputs(members, blended, shared, 1)[1::2]
    alone = trees.boost(inputs, targets[1::2, 1] - blended[1::2, 1], 5, 0)
    assert np.array_equal(alone.values, fitted.values[1])
