import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.ensemble import methods
from mlob.ensemble.blend import arithmetic, best_constant, harmonic
from mlob.metrics import micro_f1
from mlob.recipes import Ensemble

RECIPE = Ensemble(particles=6, iterations=5)
POWERS = st.integers(-5, 0).map(lambda power: np.float32(2.0**power))  # sums of 2 or 4 are exact, and of their inverses


@st.composite
def cases(draw):
    shape = draw(st.tuples(st.sampled_from([1, 2, 4]), st.integers(2, 6), st.integers(1, 3)))
    members = draw(arrays.arrays(np.float32, shape, elements=POWERS))
    return members, draw(arrays.arrays(np.uint8, shape[1:], elements=st.integers(0, 1)))


def made(members=3, photos=80, labels=4, seed=0):
    """Members of rising worth."""
    generator = np.random.default_rng(seed)
    targets = (generator.random((photos, labels)) < 0.3).astype(np.uint8)
    noise = generator.random((members, photos, labels)) * np.linspace(3, 1, members)[:, None, None]
    return ((targets + noise) / (1 + np.linspace(3, 1, members))[:, None, None]).astype(np.float32), targets


@given(cases(), st.randoms())
@settings(deadline=None, max_examples=20)
def test_permuting_members_changes_mean_and_harmonic_not_at_all(case, random):
    members, targets = case
    order = random.sample(range(len(members)), len(members))
    fits = [methods.fit(Ensemble(iterations=1))(some, targets) for some in (members, members[order])]
    for method in (methods.MEAN, methods.HARMONIC):
        for rule in methods.RULES:
            here, there = (fitted[method, rule] for fitted in fits)
            assert np.array_equal(here.thresholds, there.thresholds)
            assert np.array_equal(here(members), there(members[order]))


@given(cases())
@settings(deadline=None)
def test_the_constant_answer_is_the_best_constant_for_every_photo(case):
    members, targets = case
    decided = methods.constant(members, targets)(np.ones_like(members))
    assert np.array_equal(decided, np.tile(best_constant(targets), (len(targets), 1)))
    assert np.array_equal(decided, methods.constant(members, targets)(np.zeros_like(members)))


def test_every_method_meets_every_rule_and_constant_stands_beside_them():
    fitted = methods.fit(RECIPE)(*made())
    names = {
        (method, rule)
        for method in (methods.BEST_SINGLE, methods.MEAN, methods.HARMONIC, methods.PSO)
        for rule in (methods.HALF, methods.ONE_GLOBAL, methods.PER_LABEL)
    }
    assert set(fitted) == names | {(methods.CONSTANT, "k commonest")}
    for decision in fitted.values():
        assert decision.weights.shape == (3,) and decision.weights.sum() == pytest.approx(1)
        assert decision.thresholds.dtype == np.float32 and decision.thresholds.shape == (4,)
    for method in (methods.MEAN, methods.HARMONIC):
        assert fitted[method, methods.HALF].weights == pytest.approx(1 / 3)


def test_the_means_are_those_of_blend():
    members, targets = made()
    fitted = methods.fit(RECIPE)(members, targets)
    for rule in methods.RULES:
        assert np.array_equal(fitted[methods.HARMONIC, rule].probabilities(members), harmonic(members))
        assert np.array_equal(fitted[methods.MEAN, rule].probabilities(members), arithmetic(members))


def test_best_single_is_the_best_member_alone():
    members, targets = made()
    decision = methods.fit(RECIPE)(members, targets)[methods.BEST_SINGLE, methods.ONE_GLOBAL]
    assert decision.weights.tolist() == [0, 0, 1]
    assert np.array_equal(decision.probabilities(members), members[2])
    alone = [methods.one_global(member[None], targets)(member[None]) for member in members]
    assert np.array_equal(decision(members), alone[2])
    assert max(micro_f1(targets, decided) for decided in alone) == micro_f1(targets, decision(members))


@pytest.mark.parametrize("seed", range(3))
def test_no_rule_is_worse_than_a_narrower_one_where_it_was_fitted(seed):
    members, targets = made(seed=seed)
    fitted = methods.fit(RECIPE)(members, targets)
    scores = {name: micro_f1(targets, decision(members)) for name, decision in fitted.items()}
    for method in (methods.BEST_SINGLE, methods.MEAN, methods.HARMONIC, methods.PSO):
        half, shared, own = (scores[method, rule] for rule in methods.RULES)
        assert half <= shared <= own
    swarm = scores[methods.PSO, methods.ONE_GLOBAL]
    assert swarm >= max(scores[name, methods.ONE_GLOBAL] for name in (methods.BEST_SINGLE, methods.MEAN))


def test_only_the_swarm_has_a_history_and_more_members_than_particles_get_enough_of_them():
    fitted = methods.fit(Ensemble(particles=2, iterations=3))(*made(members=4))
    for (method, _), decision in fitted.items():
        assert bool(decision.history) == (method == methods.PSO)


def test_equal_seeds_fit_alike():
    members, targets = made()
    first, second = (methods.fit(RECIPE)(members, targets) for _ in range(2))
    for name, decision in first.items():
        assert decision.weights.tobytes() == second[name].weights.tobytes()
        assert decision.thresholds.tobytes() == second[name].thresholds.tobytes()


def test_thresholds_and_weights_survive_json():
    members, targets = made()
    for decision in methods.fit(RECIPE)(members, targets).values():
        text = json.dumps([decision.weights.tolist(), decision.thresholds.tolist(), decision.is_harmonic])
        weights, thresholds, is_harmonic = json.loads(text)
        again = methods.Decision(np.array(weights), np.array(thresholds, np.float32), is_harmonic)
        assert np.array_equal(again(members), decision(members))
