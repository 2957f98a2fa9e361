import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.ensemble import methods, stacking, thresholds
from mlob.ensemble.blend import arithmetic, best_constant, harmonic
from mlob.errors import InputError
from mlob.metrics import micro_f1
from mlob.recipes import Ensemble

RECIPE = Ensemble(particles=6, iterations=5, second_level=())
GROUPS = ("colour", "colour", "length", "length")
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
@settings(deadline=None, max_examples=8)
def test_permuting_members_changes_mean_and_harmonic_not_at_all(case, random):
    members, targets = case
    order = random.sample(range(len(members)), len(members))
    fits = [methods.fit(Ensemble(iterations=1, second_level=()))(some, targets) for some in (members, members[order])]
    for method in (methods.MEAN, methods.HARMONIC) if len(members) > 1 else (methods.BEST_SINGLE,):
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
    fitted = methods.fit(RECIPE, GROUPS)(*made())
    blends = ("best single", "mean", "harmonic mean", "PSO", "greedy", "hill climbing", "log-loss", "log-loss by group")
    names = {(blend, rule) for blend in blends for rule in ("0.5", "one global", "per label", "calibrated")}
    assert set(fitted) == names | {(methods.CONSTANT, "k commonest")}
    for (method, _), decision in fitted.items():
        assert decision.weights.shape == ((3, 4) if method == methods.BY_GROUP else (3,))
        assert decision.weights.sum(axis=0) == pytest.approx(1)
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
        half, shared, own, calibrated = (scores[method, rule] for rule in methods.RULES)
        assert half <= shared <= own and calibrated <= own
    plain = max(scores[name, methods.ONE_GLOBAL] for name in (methods.BEST_SINGLE, methods.MEAN))
    for method in (methods.PSO, methods.GREEDY, methods.CLIMBING):
        assert scores[method, methods.ONE_GLOBAL] >= plain


def test_only_the_swarm_has_a_history_and_more_members_than_particles_get_enough_of_them():
    fitted = methods.fit(Ensemble(particles=2, iterations=3, second_level=()))(*made(members=4))
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


def test_a_group_weights_the_members_that_know_it():
    members, targets = made(members=2)
    members[0][:, 2:], members[1][:, :2] = 0.3, 0.3  # each knows nothing of the other's group
    weights = methods.fit(RECIPE, GROUPS)(members, targets)[methods.BY_GROUP, methods.HALF].weights
    assert (weights[0, :2] > 0.5).all() and (weights[1, 2:] > 0.5).all()


@pytest.mark.parametrize("groups", [(), ("all",) * 4])
def test_without_several_groups_nothing_is_weighted_by_group(groups):
    assert not any(method == methods.BY_GROUP for method, _ in methods.fit(RECIPE, groups)(*made()))


@pytest.fixture
def _small(monkeypatch):
    for name, value in {"FOLDS": 2, "EPOCHS": 1, "UNITS": 4, "TREES": (0, 2), "RARE": 5}.items():
        monkeypatch.setattr(stacking, name, value)


@pytest.mark.usefixtures("_small")
def test_second_levels_decide_by_thresholds_of_their_inner_folds():
    members, targets = made()
    recipe = dataclasses.replace(RECIPE, second_level=tuple(methods.SECOND_LEVELS))
    fitted = methods.fit(recipe, GROUPS)(members, targets)
    for name in methods.SECOND_LEVELS:
        decision = fitted[f"stacked {name}", methods.ONE_GLOBAL]
        assert np.array_equal(decision.probabilities(members), decision.second_level.predict(members))
        shared = thresholds.best_global(targets, decision.second_level.held)
        assert decision.thresholds.tolist() == [np.float32(shared)] * 4
        assert (decision.weights > 0).all()  # every member is asked, and counts in what it costs


@pytest.mark.usefixtures("_small")
def test_second_levels_know_which_photos_are_equal(monkeypatch):
    members, targets = made()
    seen, plain = [], stacking._folds
    monkeypatch.setattr(stacking, "_folds", lambda *given: seen.append(given[-1]) or plain(*given))
    keys = [row // 2 for row in range(len(targets))]
    recipe = dataclasses.replace(RECIPE, second_level=tuple(methods.SECOND_LEVELS))
    methods.fit(recipe, GROUPS)(members, targets, keys)
    assert seen == [keys] * len(methods.SECOND_LEVELS)


def test_a_recipe_may_name_every_second_level_that_there_is():
    assert Ensemble(second_level=tuple(methods.SECOND_LEVELS)).second_level
    with pytest.raises(InputError, match=r"second_level is .*forest.*expected 'linear' or 'convolution' or 'boosting'"):
        Ensemble(second_level=("forest",))


@pytest.mark.parametrize("broken", ["constant", "no positives", "one member"])
def test_what_teaches_nothing_is_survived(broken):
    members, targets = made()
    if broken == "constant":
        members[0] = 0.5
    if broken == "no positives":
        targets[:, 1] = 0
    if broken == "one member":
        members = members[:1]
    for decision in methods.fit(dataclasses.replace(RECIPE, second_level=("linear",)), GROUPS)(
        members, targets
    ).values():
        assert set(np.unique(decision(members))) <= {0, 1}


def test_a_member_that_is_not_a_number_is_refused():
    members, targets = made()
    members[1, 3, 2] = np.nan
    with pytest.raises(InputError, match="found nan to nan in member 1"):
        methods.fit(RECIPE)(members, targets)


def test_equal_members_give_equal_figures_by_every_mean():
    member, targets = made(members=1)
    members = np.repeat(member, 2, axis=0)
    fitted = methods.fit(RECIPE)(members, targets)
    for rule in methods.RULES:
        decided = [fitted[method, rule](members) for method in (methods.MEAN, methods.HARMONIC)]
        assert np.array_equal(*decided)
        assert np.array_equal(decided[0], fitted[methods.BEST_SINGLE, rule](members))
