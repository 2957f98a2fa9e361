import dataclasses

import pytest

from mlob.data.duplicates import Between
from mlob.data.facts import Facts, Failures, SplitFacts
from mlob.evaluation.judge import LabelScores
from mlob.evaluation.scores import Score
from mlob.reports import opening
from mlob.reports.opening import Named

SPLIT = SplitFacts(9, 9, 0, 1, None, None)
CLEAN = Facts(18, 0, 0, {"train": SPLIT, "test": SPLIT}, {}, [], [], [], True, [], [], None)


def label(name, train, validation, f1):
    return LabelScores(0, name, "", train, validation, 1.0, f1, f1, f1, 0.5)


def test_of_a_hundred_labels_given_and_a_hundred_true_ones_so_many_are_right_and_found():
    told = opening.tell({"precision": Score(0.764, 0, 1, 1), "recall": Score(0.668, 0, 1, 1)}, [], CLEAN, None)
    assert (told.right, told.found) == (76, 67)
    assert (told.good, told.poor, told.few) == (None, None, None)


def test_a_row_that_does_not_say_leaves_the_hundred_open():
    assert opening.tell({}, [], CLEAN, None).right is None


def test_labels_are_good_or_poor_only_where_photos_enough_judge_them_the_most_telling_first():
    labels = [
        label("fine", 90, 10, 0.85),
        label("best", 90, 30, 0.95),
        label("lucky", 90, 9, 1.0),
        label("middling", 90, 30, 0.6),
        label("poor", 90, 30, 0.4),
        label("worst", 19, 30, 0.1),
    ]
    told = opening.tell({}, labels, CLEAN, None)
    assert told.good == Named(["best", "fine"], more=0, labels=2)
    assert told.poor.names == ["worst", "poor"] and told.few.names == ["worst"]


def test_five_labels_are_named_and_the_others_counted():
    told = opening.tell({}, [label(str(number), 0, 0, 0.0) for number in range(17)], CLEAN, None)
    assert told.few == Named(list("01234"), more=12, labels=17) and told.poor is None


@pytest.mark.parametrize(
    "facts, labels, doubted, steps",
    [
        (
            {"equal_between": [Between("test", "train", "content", 1, ["a"])]},
            [],
            0,
            ["Take out 1 photo found in two splits"],
        ),
        (
            {"splits": {"train": dataclasses.replace(SPLIT, failed=Failures(2000, []))}},
            [],
            0,
            ["Replace or remove 2,000 missing or unreadable photos"],
        ),
        ({}, [label("rare", 3, 0, 0.0)], 4, ["Add photos for 1 label with", "Check the annotations of 4 photos"]),
        ({}, [], 0, ["Run make learning-curve"]),
    ],
)
def test_the_next_step_is_what_the_figures_call_for(facts, labels, doubted, steps, diagnosis):
    doubtful = dataclasses.replace(diagnosis, suspects=dataclasses.replace(diagnosis.suspects, photos=doubted))
    told = opening.tell({}, labels, dataclasses.replace(CLEAN, **facts), doubtful)
    assert all(step.advice.startswith(start) for step, start in zip(told.steps, steps, strict=True))
