import dataclasses

import numpy as np
import pytest

from mlob.ensemble import methods
from mlob.ensemble.thresholds import CALIBRATED, ONE_THRESHOLD, PER_LABEL
from mlob.errors import InputError
from mlob.evaluation import judge
from mlob.evaluation.crossfit import crossfit, folds
from mlob.labels import Labels
from mlob.metrics import image_f1, macro_f1, micro_f1, pooled
from mlob.recipes import Ensemble

RECIPE = Ensemble(folds=4, draws=200, particles=5, iterations=4)
FIT = methods.fit(methods.WEIGHTINGS, RECIPE.rules, groups=(), seed=0, swarm=RECIPE.swarm)
LABELS = Labels((3, 7), ("red", "long"), ("colour", "length"))


def judged(fit, members, targets):
    fitted = fit(members, targets)
    decided = crossfit(fit, members, targets, folds(targets, RECIPE.folds, seed=0))
    return judge.judge_each(fitted, decided, members, targets, RECIPE.judging)


@pytest.fixture(scope="module")
def case():
    """Two members over 80 photos and 3 labels."""
    generator = np.random.default_rng(0)
    targets = (generator.random((80, 3)) < (0.5, 0.3, 0.1)).astype(np.uint8)
    return ((targets + 2 * generator.random((2, 80, 3))) / 3).astype(np.float32), targets


def test_scores_are_of_the_out_of_fold_decisions_and_of_the_fit_on_all(case):
    members, targets = case
    for method in judged(FIT, members, targets).values():
        decided, fitted = method.out_of_fold, method.decision(members)
        assert decided.dtype == np.uint8 and decided.shape == targets.shape
        others = {"macro_f1": macro_f1(targets, decided), "image_f1": image_f1(targets, decided)}
        expected = pooled(targets, decided) | others
        assert {name: score.value for name, score in method.scores.items()} == expected
        assert all(score.low <= score.value <= score.high for score in method.scores.values())
        assert method.scores["macro_f1"].in_sample == macro_f1(targets, fitted)
        assert method.scores["recall"].in_sample == pooled(targets, fitted)["recall"]


def test_no_photo_is_decided_on_by_a_fit_that_saw_it(case):
    members, targets = case
    seen = []

    def fit(some, rows):
        seen.append(rows)
        known = {member.tobytes() for member in some[0]}
        return {"spy": lambda others: np.array([[one.tobytes() in known] * 3 for one in others[0]], np.uint8)}

    spy = judged(fit, members, targets)["spy"]
    assert spy.decision(members).all() and not spy.out_of_fold.any()
    assert len(seen) == 1 + RECIPE.folds and len(seen[0]) == 80


def test_a_method_that_knows_the_targets_by_heart_has_nothing_to_gain(case):
    """Learned by heart is 1 in-sample; cross-fitted it is what guessing gives."""
    members, targets = case

    def fit(some, rows):
        known = {member.tobytes(): row for member, row in zip(some[0], rows, strict=True)}
        return {"heart": lambda others: np.array([known.get(one.tobytes(), [0, 0, 0]) for one in others[0]], np.uint8)}

    micro_f1 = judged(fit, members, targets)["heart"].scores["micro_f1"]
    assert (micro_f1.in_sample, micro_f1.value) == (1, 0)


def test_a_model_is_judged_as_its_own_ensemble_at_one_threshold(case):
    members, targets = case
    model = judge.judge_model(members[0], targets, RECIPE.judging)
    alone = judged(FIT, members[:1], targets)[methods.BEST_SINGLE, ONE_THRESHOLD]
    assert np.array_equal(model.out_of_fold, alone.out_of_fold) and model.scores == alone.scores
    assert model.decision.blend.weights.tolist() == [1] and len(set(model.decision.thresholds.tolist())) == 1


def test_a_rerun_gives_the_same_figures_and_another_seed_other_intervals(case):
    members, targets = case
    judgings = [dataclasses.replace(RECIPE.judging, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (judge.judge_model(members[0], targets, judging).scores for judging in judgings)
    assert first == again != other


def test_a_photo_alone_cannot_be_judged(case):
    members, targets = case
    with pytest.raises(InputError, match="4 folds and 1 photos"):
        judge.judge_model(members[0][:1], targets[:1], RECIPE.judging)


def test_each_label_has_its_counts_and_its_own_figures():
    targets = np.array([[1, 0], [1, 0], [0, 0], [1, 0]], np.uint8)
    predicted = np.array([[1, 0], [0, 1], [1, 0], [0, 0]], np.uint8)
    thresholds = np.array([0.25, 0.5], np.float32)
    red, long = judge.by_label(
        LABELS, np.array([9, 9]), targets, predicted, methods.Decision(methods.HarmonicMean(), thresholds)
    )
    assert dataclasses.asdict(red) == {
        "id": 3, "name": "red", "group": "colour", "train": 9, "validation": 3, "accuracy": 1 / 4,
        "f1": pytest.approx(2 / 5), "precision": 1 / 2, "recall": pytest.approx(1 / 3), "threshold": 0.25,
        "left": False,
    }  # fmt: skip
    assert (long.validation, long.f1, long.precision, long.recall) == (0, 0, 0, 0)


def test_each_group_has_the_figures_of_its_own_labels_and_its_gain():
    targets = np.array([[1, 0], [1, 0], [0, 1], [1, 1]] * 10, np.uint8)
    predicted, other = targets.copy(), targets.copy()
    other[::2, 0] = 0
    predicted[::3, 1] = 1
    colour, length = judge.by_group(LABELS, targets, predicted, other, RECIPE.judging)
    assert (colour.group, colour.labels, colour.validation) == ("colour", 1, 30)
    assert colour.scores["micro_f1"].value == 1 and colour.gain.value == 1 - micro_f1(targets[:, :1], other[:, :1])
    assert 0 < colour.gain.low <= colour.gain.value <= colour.gain.high
    assert length.scores["micro_f1"].value == micro_f1(targets[:, 1:], predicted[:, 1:]) and length.gain.high < 0


def test_pairs_are_the_ensemble_with_each_method_and_these_with_the_references_at_the_same_rule(case):
    members, targets = case
    decided = {name: found.out_of_fold for name, found in judged(FIT, members, targets).items()}
    nested = np.where(np.arange(80)[:, np.newaxis] % 2, *(decided[name, CALIBRATED] for name in ("mean", "PSO")))
    pairs = judge.paired(targets, decided, nested, RECIPE.judging)
    names = {(pair.method, pair.against) for pair in pairs}
    assert len(names) == len(pairs)
    assert ("greedy selection, one threshold", "mean, one threshold") in names
    assert ("mean, 0.5", "best single, 0.5") in names
    assert {against for method, against in names if method == "ensemble"} == set(map(judge.full_name, decided))
    others = [(method, against) for method, against in names if method != "ensemble"]
    assert all(method.split(", ")[1] == against.split(", ")[1] for method, against in others)
    of = {"ensemble": nested, **{judge.full_name(name): own for name, own in decided.items()}}
    for pair in pairs:
        assert pair.gain.value == micro_f1(targets, of[pair.method]) - micro_f1(targets, of[pair.against])
        assert pair.gain.low <= pair.gain.value <= pair.gain.high


def verdict(fit, members, targets, **changes):
    return judge.judge(
        fit,
        members,
        targets,
        dataclasses.replace(RECIPE.judging, **changes),
        labels=Labels((1, 2, 3), ("a", "b", "c"), ("g", "g", "h")),
        train_positives=np.array([5, 5, 5]),
    )


def test_all_that_is_said_of_an_ensemble_is_said_of_its_nested_decisions(case):
    members, targets = case
    found = verdict(FIT, members, targets)
    headline = found.headline["micro_f1"]
    assert headline.value == micro_f1(targets, found.nested)
    assert headline.in_sample == micro_f1(targets, found.decision(members))
    assert headline.low <= headline.value <= headline.high
    assert found.headline["macro_f1"].value == macro_f1(targets, found.nested)
    per_label = [macro_f1(targets[:, [column]], found.nested[:, [column]]) for column in range(3)]
    assert [label.f1 for label in found.labels] == pytest.approx(per_label)
    assert found.groups[1].scores["micro_f1"].value == micro_f1(targets[:, 2:], found.nested[:, 2:])
    beside = found.judged[methods.BEST_SINGLE, CALIBRATED].out_of_fold
    assert found.groups[1].gain.value == micro_f1(targets[:, 2:], found.nested[:, 2:]) - micro_f1(
        targets[:, 2:], beside[:, 2:]
    )
    (pair,) = (
        each for each in found.pairs if (each.method, each.against) == ("ensemble", "mean, calibrated thresholds")
    )
    mean = found.judged[methods.MEAN, CALIBRATED].out_of_fold
    assert pair.gain.value == headline.value - micro_f1(targets, mean)


def test_each_fold_is_decided_by_what_is_chosen_on_the_others_and_so_is_its_task(case, monkeypatch):
    """Each fold has a choice of its own: decisions, and the probabilities of tasks, are those of its method there."""
    members, targets = case
    targets = targets.copy()
    targets[:, 1] = 1 - targets[:, 0]
    rules = [(methods.BEST_SINGLE, ONE_THRESHOLD), (methods.MEAN, PER_LABEL)] * 2
    monkeypatch.setattr(judge.choice, "nested", lambda candidates, judging, measure: rules)
    fold, given = folds(targets, 4, seed=0), []
    monkeypatch.setattr(judge.tasks, "judge", lambda targets, probabilities, *_: given.append(probabilities) or [])
    found = verdict(FIT, members, targets)
    decided = crossfit(FIT, members, targets, fold)
    for number, name in enumerate(rules):
        inside = fold == number
        assert np.array_equal(found.nested[inside], decided[name][inside])
        fitted = FIT(members[:, ~inside], targets[~inside])[name]
        assert np.array_equal(given[0][inside], fitted.probabilities(members[:, inside]))


@pytest.mark.parametrize("seed", range(3))
def test_targets_drawn_at_random_have_no_headline_above_chance(seed):
    """Members that know nothing of the targets: the headline's interval holds the constant answer's figure."""
    generator = np.random.default_rng(seed)
    targets = (generator.random((150, 3)) < 0.3).astype(np.uint8)
    found = verdict(FIT, generator.random((3, 150, 3), np.float32), targets)
    chance = micro_f1(targets, np.ones_like(targets))  # what is expected of an answer that looks at nothing
    assert found.headline["micro_f1"].low <= chance + 0.03


@pytest.mark.parametrize("seed", range(5))
def test_noise_that_thresholds_were_fitted_on_flatters_itself_and_not_where_it_is_held_out(seed):
    generator = np.random.default_rng(seed)
    targets = (generator.random((60, 8)) < 0.2).astype(np.uint8)
    noise = generator.random((2, 60, 8), np.float32)
    found = judged(FIT, noise, targets)
    for method in (methods.BEST_SINGLE, methods.MEAN, methods.HARMONIC, methods.PSO):
        score = found[method, PER_LABEL].scores["micro_f1"]
        assert score.value < score.in_sample


def test_a_label_is_scored_on_the_photos_that_know_it_and_so_is_a_group():
    targets, predicted = np.array([[1, 255], [0, 1], [255, 0]], np.uint8), np.array([[1, 1], [1, 1], [1, 0]])
    decision = methods.Decision(methods.HarmonicMean(), np.full(2, 0.5, np.float32))
    red, long = judge.by_label(LABELS, np.array([9, 9]), targets, predicted, decision)
    assert (red.validation, red.accuracy, red.precision, red.recall) == (1, 0.5, 0.5, 1)
    assert (long.validation, long.accuracy, long.f1) == (1, 1, 1)
    colour, length = judge.by_group(LABELS, targets, predicted, np.zeros_like(predicted), RECIPE.judging)
    assert (colour.validation, colour.scores["accuracy"].value) == (1, 0.5)
    assert (length.validation, length.gain.value) == (1, 1)
