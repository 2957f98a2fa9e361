import pytest

from mlob.evaluation.judge import LabelScores
from mlob.evaluation.scores import Score
from mlob.reports import opening

CLEAN = {"splits": {"train": {"failed": {"photos": 0}}, "test": {"failed": None}}, "equal_between": []}


def label(name, train, validation, f1):
    return LabelScores(0, name, "", train, validation, 1.0, f1, f1, f1, 0.5)


def test_of_a_hundred_labels_given_and_a_hundred_true_ones_so_many_are_right_and_found():
    told = opening.tell({"precision": Score(0.764, 0, 1, 1), "recall": Score(0.668, 0, 1, 1)}, [], CLEAN, None)
    assert (told["right"], told["found"]) == (76, 67)
    assert (told["good"], told["poor"], told["few"]) == (None, None, None)


def test_a_row_that_does_not_say_leaves_the_hundred_open():
    assert opening.tell({}, [], CLEAN, None)["right"] is None


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
    assert told["good"] == {"names": ["best", "fine"], "more": 0, "labels": 2}
    assert told["poor"]["names"] == ["worst", "poor"] and told["few"]["names"] == ["worst"]


def test_five_labels_are_named_and_the_others_counted():
    told = opening.tell({}, [label(str(number), 0, 0, 0.0) for number in range(17)], CLEAN, None)
    assert told["few"] == {"names": list("01234"), "more": 12, "labels": 17} and told["poor"] is None


@pytest.mark.parametrize(
    "facts, labels, doubted, steps",
    [
        ({"equal_between": [{"photos": 1}]}, [], 0, ["take out the 1 photo that"]),
        ({"splits": {"train": {"failed": {"photos": 2000}}}}, [], 0, ["mend or remove the 2,000 photos that"]),
        ({}, [label("rare", 3, 0, 0.0)], 4, ["add photos of the 1 label with", "look through the 4 photos whose"]),
        ({}, [], 0, ["make learning-curve says"]),
    ],
)
def test_the_next_step_is_what_the_figures_call_for(facts, labels, doubted, steps):
    told = opening.tell({}, labels, CLEAN | facts, {"suspects": {"photos": doubted}})
    assert len(told["next"]) == len(steps)
    assert all(step.startswith(start) for (_, step), start in zip(told["next"], steps, strict=True))
