"""Tasks: figures of groups of which a photo has one label."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, top_k_accuracy_score

from mlob.evaluation import tasks
from mlob.recipes import Judging

JUDGING = Judging(draws=200)
GROUPS = ("kind",) * 8 + ("detail",) * 2


@pytest.fixture
def made():
    """Photos with one of 7 kinds of 8, a tenth without any, and details; chances that often tell the kind."""
    generator = np.random.default_rng(0)
    kinds = generator.integers(0, 7, 300)
    targets = np.zeros((300, 10), np.uint8)
    targets[np.arange(300), kinds] = 1
    targets[::10, :8] = 0
    targets[:, 8:] = generator.random((300, 2)) < 0.7
    chances = generator.random((300, 10)).astype(np.float32)
    chances[np.arange(300), kinds] += generator.random(300) * 0.8
    return targets, chances


def judged(targets, chances, trained=None, keys=None):
    trained = np.ones(10, int) if trained is None else trained
    return tasks.judge(targets, chances, GROUPS, trained, JUDGING, keys)


def test_figures_are_those_of_scikit_learn_over_the_photos_that_have_one(made):
    targets, chances = made
    (found,) = judged(*made)
    has_one = targets[:, :8].any(axis=1)
    true, scores = targets[has_one, :8].argmax(axis=1), chances[has_one, :8]
    given = scores.argmax(axis=1)
    expected = {
        "top_1": top_k_accuracy_score(true, scores, k=1, labels=range(8)),
        "top_5": top_k_accuracy_score(true, scores, k=5, labels=range(8)),
        "macro_f1": f1_score(true, given, labels=range(7), average="macro"),
        "weighted_f1": f1_score(true, given, labels=range(7), average="weighted"),
    }
    assert {name: each.value for name, each in found.scores.items()} == pytest.approx(expected)
    assert all(each.low < each.value < each.high for each in found.scores.values())
    assert (found.group, found.photos, found.occurring, found.ceiling) == ("kind", 270, 7, 1)


def test_a_class_that_train_lacks_lowers_the_ceiling_and_is_told_apart_from_one_that_failed(made):
    targets, chances = made
    trained = np.ones(10, int)
    trained[2] = 0
    chances[:, 3] = 0
    (found,) = judged(targets, chances, trained)
    has_one = targets[:, :8].any(axis=1)
    assert found.untrained == [2] and found.failed == [3]
    assert found.ceiling == pytest.approx(1 - targets[has_one, 2].mean())


def test_what_is_likely_of_other_tasks_and_what_is_unknown_of_the_task_plays_no_part(made):
    targets, chances = made
    expected = judged(targets, chances)
    hidden = targets.copy()
    hidden[::10, :8] = 255
    others = chances.copy()
    others[:, 8:] = 0.5
    others[::10] = 0.9
    assert judged(hidden, others) == expected


def test_photos_that_stand_twice_are_drawn_together(made):
    twice = [np.repeat(array, 2, axis=0) for array in made]
    (once,), (found,) = judged(*made), judged(*twice, keys=np.repeat(np.arange(300), 2).tolist())
    assert found.scores["top_1"] == once.scores["top_1"]


def test_of_equal_chances_the_first_class_is_the_answer():
    truth = np.eye(4, dtype=np.uint8)
    assert tasks.ranks(truth, np.full((4, 4), 0.5)).tolist() == [0, 1, 2, 3]
    assert tasks.ranks(truth, np.float32([[3, 2, 1, 0]] * 4)).tolist() == [0, 1, 2, 3]
