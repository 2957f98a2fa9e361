import dataclasses

import numpy as np
import pytest

from mlob.ensemble import methods
from mlob.errors import InputError
from mlob.evaluation import judge
from mlob.labels import Labels
from mlob.metrics import macro_f1, micro_f1
from mlob.recipes import Ensemble

RECIPE = Ensemble(folds=4, draws=200, particles=5, iterations=4)


@pytest.fixture(scope="module")
def case():
    """Two members over 80 photos and 3 labels."""
    generator = np.random.default_rng(0)
    targets = (generator.random((80, 3)) < (0.5, 0.3, 0.1)).astype(np.uint8)
    return ((targets + 2 * generator.random((2, 80, 3))) / 3).astype(np.float32), targets


def test_figures_are_of_the_held_out_decisions_and_of_the_fit_on_all(case):
    members, targets = case
    for decision, held, figures in judge.judge(methods.fit(RECIPE), members, targets, RECIPE).values():
        assert held.dtype == np.uint8 and held.shape == targets.shape
        for name, metric in {"micro_f1": micro_f1, "macro_f1": macro_f1}.items():
            found = figures[name]
            assert found["cross_fitted"] == metric(targets, held)
            assert found["in_sample"] == metric(targets, decision(members))
            assert found["low"] <= found["cross_fitted"] <= found["high"]
            assert list(found) == ["cross_fitted", "low", "high", "in_sample"]


def test_no_photo_is_decided_on_by_a_fit_that_saw_it(case):
    members, targets = case
    seen = []

    def fit(some, rows):
        seen.append(rows)
        known = {member.tobytes() for member in some[0]}
        return {"spy": lambda others: np.array([[one.tobytes() in known] * 3 for one in others[0]], np.uint8)}

    decision, held, _ = judge.judge(fit, members, targets, RECIPE)["spy"]
    assert decision(members).all() and not held.any()
    assert len(seen) == 1 + RECIPE.folds and len(seen[0]) == 80


def test_a_method_that_knows_the_targets_by_heart_has_nothing_to_gain(case):
    """Learned by heart is 1 in-sample; cross-fitted it is what guessing gives."""
    members, targets = case

    def fit(some, rows):
        known = {member.tobytes(): row for member, row in zip(some[0], rows, strict=True)}
        return {"heart": lambda others: np.array([known.get(one.tobytes(), [0, 0, 0]) for one in others[0]], np.uint8)}

    _, _, figures = judge.judge(fit, members, targets, RECIPE)["heart"]
    assert (figures["micro_f1"]["in_sample"], figures["micro_f1"]["cross_fitted"]) == (1, 0)


def test_a_model_is_judged_as_its_own_ensemble_at_one_threshold(case):
    members, targets = case
    decision, held, figures = judge.judge_model(members[0], targets, RECIPE)
    alone = judge.judge(methods.fit(RECIPE), members[:1], targets, RECIPE)[methods.MEAN, methods.ONE_GLOBAL]
    assert np.array_equal(held, alone[1]) and figures == alone[2]
    assert decision.weights.tolist() == [1] and len(set(decision.thresholds.tolist())) == 1


def test_a_rerun_gives_the_same_figures_and_another_seed_other_intervals(case):
    members, targets = case
    figures = [judge.judge_model(members[0], targets, dataclasses.replace(RECIPE, seed=seed))[2] for seed in (0, 0, 1)]
    assert figures[0] == figures[1] != figures[2]


def test_fewer_photos_than_folds_are_refused(case):
    members, targets = case
    with pytest.raises(InputError, match="4 folds for 3 photos"):
        judge.judge_model(members[0][:3], targets[:3], RECIPE)


def test_each_label_has_its_counts_and_its_own_f1():
    labels = Labels((3, 7), ("red", "long"), ("colour", "length"))
    targets = np.array([[1, 0], [1, 0], [0, 0], [1, 0]], np.uint8)
    predicted = np.array([[1, 0], [0, 1], [1, 0], [0, 0]], np.uint8)
    red, long = judge.by_label(labels, np.ones((9, 2), np.uint8), targets, predicted)
    assert red == {
        "id": 3, "name": "red", "group": "colour", "train": 9, "validation": 3,
        "f1": pytest.approx(2 / 5), "precision": 1 / 2, "recall": pytest.approx(1 / 3),
    }  # fmt: skip
    assert (long["validation"], long["f1"], long["precision"], long["recall"]) == (0, 0, 0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_noise_that_thresholds_were_fitted_on_flatters_itself_and_not_where_it_is_held_out(seed):
    generator = np.random.default_rng(seed)
    targets = (generator.random((60, 8)) < 0.2).astype(np.uint8)
    noise = generator.random((2, 60, 8), np.float32)
    judged = judge.judge(methods.fit(RECIPE), noise, targets, RECIPE)
    for method in (methods.BEST_SINGLE, methods.MEAN, methods.HARMONIC, methods.PSO):
        figures = judged[method, methods.PER_LABEL][2]["micro_f1"]
        assert figures["cross_fitted"] < figures["in_sample"]
