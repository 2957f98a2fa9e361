import dataclasses

import numpy as np
import pytest

from mlob.ensemble import measures, methods
from mlob.ensemble.thresholds import CALIBRATED, HALF, ONE_THRESHOLD
from mlob.evaluation import choice
from mlob.evaluation.choice import Candidates
from mlob.evaluation.crossfit import folds
from mlob.metrics import micro_f1
from mlob.recipes import Judging, Metric

JUDGING = Judging(4, 200, 0)
FIXED = methods.LOG_LOSS, CALIBRATED


def drawn(generator, n=60):
    return (generator.random((n, 4)) < 0.4).astype(np.uint8)


def by_chance(count, n=60, seed=0):
    """Candidates that all guess, the fixed one among them: which is highest is luck."""
    generator = np.random.default_rng(seed)
    targets = drawn(generator, n)
    names = [FIXED, *((f"{number}", "r") for number in range(count - 1))]
    decided = {name: drawn(generator, n) for name in names}
    return Candidates(targets, decided, folds(targets, JUDGING.folds, seed=0))


def nearly(targets, wrong, seed=0):
    """Decisions of which a share is wrong."""
    return targets ^ (np.random.default_rng(seed).random(targets.shape) < wrong).astype(np.uint8)


def with_one(candidates, wrong, name=("good", "r")):
    """The same with a candidate of which a share is wrong."""
    return dataclasses.replace(
        candidates, decided={**candidates.decided, name: nearly(candidates.targets, wrong, seed=9)}
    )


def figures(candidates):
    return {name: micro_f1(candidates.targets, own) for name, own in candidates.decided.items()}


def test_the_highest_is_named_and_the_constant_answer_does_not_stand():
    candidates = by_chance(5)
    scores = figures(candidates)
    assert scores[choice.highest(with_one(candidates, 0, (methods.CONSTANT, methods.COMMONEST)))] == max(
        scores.values()
    )


def test_where_all_guess_the_fixed_decision_stays_but_for_what_chance_lets_pass():
    """In 95 of 100 cases it stays; taking the highest would leave it in 11 of 12."""
    whole, parts = [], []
    for seed in range(60):
        candidates = by_chance(12, seed=seed)
        whole.append(choice.choose(candidates, JUDGING).name)
        parts += choice.nested(candidates, JUDGING) if seed < 20 else []
    assert whole.count(FIXED) >= 0.9 * len(whole) and parts.count(FIXED) >= 0.85 * len(parts)


def test_a_clearly_better_candidate_is_taken_and_decides_every_fold():
    candidates = with_one(by_chance(6, n=200), 0.1)
    chosen = choice.choose(candidates, JUDGING)
    assert chosen.name == ("good", "r") and chosen.gain.low > 0.1
    assert choice.nested(candidates, JUDGING) == [("good", "r")] * JUDGING.folds
    own = choice.taken(candidates, choice.nested(candidates, JUDGING))
    assert np.array_equal(own, candidates.decided["good", "r"])


def test_a_candidate_that_is_better_by_less_than_chance_allows_is_left():
    """It is right on two photos more, which an eighth of all draws do not hold."""
    targets = drawn(np.random.default_rng(3), 200)
    own = nearly(targets, 0.2)
    own[:2] = 1 - targets[:2]
    near = np.concatenate([targets[:2], own[2:]])
    chosen = choice.choose(Candidates(targets, {FIXED: own, ("near", "r"): near}, np.arange(200) % 4), JUDGING)
    assert chosen.gain.value > 0 >= chosen.gain.low and chosen.name == FIXED


def test_the_gain_is_that_of_choosing_on_the_other_folds():
    candidates = with_one(by_chance(6), 0.3)
    chosen = choice.choose(candidates, JUDGING)
    challenger = choice.highest_elsewhere(candidates, FIXED)
    expected = micro_f1(candidates.targets, challenger) - micro_f1(candidates.targets, candidates.decided[FIXED])
    assert chosen.gain.value == expected


@pytest.mark.parametrize("procedure", ["nested", "highest"])
@pytest.mark.parametrize("wrong", [0.0, 0.35])
def test_a_fold_has_no_say_in_the_choice_for_it(procedure, wrong):
    """Its targets are drawn anew, or just so that one candidate is perfect there: what decides it stays the same."""
    candidates = with_one(by_chance(6, n=120), wrong)
    choose = {
        "nested": lambda own: choice.nested(own, JUDGING),
        "highest": lambda own: choice.choices(choice.highest, own),
    }[procedure]
    before = choose(candidates)
    for number in range(JUDGING.folds):
        inside = candidates.fold == number
        for other in (drawn(np.random.default_rng(number), 120), candidates.decided["3", "r"]):
            targets = np.where(inside[:, np.newaxis], other, candidates.targets)
            after = choose(dataclasses.replace(candidates, targets=targets))
            assert after[number] == before[number]


def test_a_choice_for_a_fold_is_what_the_same_procedure_chooses_where_that_fold_is_not():
    candidates = with_one(by_chance(8, n=120), 0.32)
    for number, name in enumerate(choice.nested(candidates, JUDGING)):
        assert name == choice.choose(candidates.at(candidates.fold != number), JUDGING).name


def test_choosing_on_the_other_folds_undoes_the_luck_of_the_highest():
    """Of candidates that guess the highest lies above the mean; choosing elsewhere does not, nor does the headline."""
    gaps = []
    for seed in range(20):
        candidates = by_chance(30, seed=seed)
        scores = [*figures(candidates).values()]
        nested = choice.taken(candidates, choice.nested(candidates, JUDGING))
        others = (choice.highest_elsewhere(candidates, FIXED), nested)
        gaps.append((max(scores), *(micro_f1(candidates.targets, own) for own in others)) - np.mean(scores))
    highest, elsewhere, headline = np.mean(gaps, axis=0)
    assert highest > 0.05 and abs(elsewhere) < highest / 3 and abs(headline) < highest / 3


@pytest.mark.parametrize("wrong", [0.1, 0.36, 0.45])
def test_the_order_of_candidates_changes_nothing(wrong):
    candidates = with_one(by_chance(7, n=120), wrong)
    names = [*candidates.decided]
    turned = [names[number] for number in np.random.default_rng(0).permutation(len(names))]
    other = dataclasses.replace(candidates, decided={name: candidates.decided[name] for name in turned})
    assert choice.choose(other, JUDGING) == choice.choose(candidates, JUDGING)
    assert choice.nested(other, JUDGING) == choice.nested(candidates, JUDGING)


@pytest.mark.parametrize("wrong", [0.1, 0.4])
def test_the_order_of_photos_changes_no_choice(wrong):
    candidates = with_one(by_chance(7, n=120), wrong)
    order = np.random.default_rng(0).permutation(120)
    turned = dataclasses.replace(candidates.at(np.ones(120, bool)), targets=candidates.targets[order])
    turned = dataclasses.replace(
        turned,
        decided={name: own[order] for name, own in candidates.decided.items()},
        fold=candidates.fold[order],
    )
    assert choice.choose(turned, JUDGING).name == choice.choose(candidates, JUDGING).name


def test_photos_are_taken_with_all_that_belongs_to_them():
    candidates = dataclasses.replace(by_chance(2), keys=tuple(range(60)))
    rows = candidates.fold == 1
    own = candidates.at(rows)
    assert list(own.keys) == np.flatnonzero(rows).tolist() and set(own.fold) == {1}
    assert np.array_equal(own.decided[FIXED], candidates.decided[FIXED][rows])
    assert candidates.at(~rows).targets.shape == (60 - rows.sum(), 4)


def test_equal_photos_tell_no_more_than_one():
    """A gain that is clear of 200 photos is not where these are 5 photos, each of which stands 40 times."""
    targets = np.tile(drawn(np.random.default_rng(1), 5), (40, 1))
    keys = np.tile(np.arange(5), 40).tolist()
    own = 1 - targets
    better = np.where(np.array(keys)[:, np.newaxis] < 2, targets, own)
    decided = {FIXED: own, ("better", "r"): better}
    alone = Candidates(targets, decided, np.array(keys) % 2)
    assert choice.choose(alone, JUDGING).name == ("better", "r")
    assert choice.choose(dataclasses.replace(alone, keys=keys), JUDGING).name == FIXED


def test_with_one_fold_alone_nothing_can_challenge_the_fixed_decision():
    candidates = with_one(by_chance(3), 0.0)
    alone = dataclasses.replace(candidates, fold=np.zeros(60, int))
    chosen = choice.choose(alone, JUDGING)
    assert chosen.name == FIXED and (chosen.gain.value, chosen.gain.low, chosen.gain.high) == (0, 0, 0)
    halves = dataclasses.replace(candidates, fold=np.arange(60) % 2)
    assert choice.nested(halves, JUDGING) == [FIXED, FIXED]
    assert choice.choose(halves, JUDGING).name == ("good", "r")


def test_another_measure_may_find_another_candidate_better():
    """One is right on the common label, which micro-F1 goes by, the other on the three rare ones, as macro-F1 does."""
    generator = np.random.default_rng(0)
    targets = (generator.random((400, 4)) < (0.9, 0.05, 0.05, 0.05)).astype(np.uint8)
    targets[:5, 1:] = 1
    common, rare = targets.copy(), targets.copy()
    common[:, 1:], rare[:, 0] = 0, 0
    candidates = Candidates(
        targets, {FIXED: 0 * targets, ("common", "r"): common, ("rare", "r"): rare}, np.arange(400) % 4
    )
    macro = measures.of(Metric("macro_f1"), ("all",) * 4)
    assert choice.choose(candidates, JUDGING).name == ("common", "r")
    assert choice.choose(candidates, JUDGING, macro).name == ("rare", "r")


FITTED = {
    "what is fitted by default": ([methods.BEST_SINGLE, methods.MEAN, methods.PSO, methods.LOG_LOSS], FIXED),
    "no log-loss weights": ([methods.BEST_SINGLE, methods.PSO, methods.MEAN], (methods.MEAN, CALIBRATED)),
    "one weighting": ([methods.BEST_SINGLE, methods.GREEDY], (methods.GREEDY, CALIBRATED)),
    "one member": ([methods.BEST_SINGLE, "stacked linear"], (methods.BEST_SINGLE, CALIBRATED)),
}


@pytest.mark.parametrize("names, expected", FITTED.values(), ids=FITTED)
def test_one_decision_is_fixed_whatever_is_fitted_and_in_whatever_order(names, expected):
    fitted = [(name, rule) for name in names for rule in (HALF, ONE_THRESHOLD, CALIBRATED)]
    for order in (fitted, fitted[::-1]):
        assert choice.fixed([(methods.CONSTANT, methods.COMMONEST), *order]) == expected
    alone = [(name, ONE_THRESHOLD) for name in names]  # where photos get the likeliest label of every group
    assert choice.fixed(alone) == (expected[0], ONE_THRESHOLD)


def test_what_the_default_recipe_fits_holds_the_fixed_decision_whatever_the_order_of_its_methods():
    generator = np.random.default_rng(0)
    targets = drawn(generator, 40)
    members = ((targets + generator.random((2, 40, 4))) / 2).astype(np.float32)
    names = [methods.MEAN, methods.LOG_LOSS, methods.GREEDY]
    found = []
    for order in (names, names[::-1]):
        fit = methods.fit(order, [CALIBRATED], groups=(), seed=0, swarm=None)
        found.append([*fit(members, targets)])
        assert choice.fixed(found[-1]) == FIXED
    assert found[0] == found[1]
