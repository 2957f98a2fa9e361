import dataclasses

import numpy as np
import pytest

from mlob.data.dataset import Split
from mlob.evaluation.diagnosis import Confused, Confusion
from mlob.labels import UNKNOWN
from mlob.reports import mistakes
from mlob.reports.photos import Photo


def test_doubts_are_gathered_by_photo_and_the_most_doubtful_comes_first(diagnosis):
    suspects = diagnosis.suspects
    assert (suspects.annotations, suspects.photos) == (5, 3)
    assert [(each.photo.id, [doubt.label for doubt in each.doubts]) for each in suspects.first] == [
        ("c", [0, 2]),  # 0.01 for a dress that is annotated, 0.6 for a brand that is not
        ("d", [0]),  # 0.95 for a dress that is not
        ("b", [1, 2]),  # 0.9 for the brand that is not, 0.2 for the one that is
    ]


def test_a_photo_that_nothing_saw_is_no_mistake_casts_no_doubt_and_is_told(dataset, predicted):
    members = {"member": predicted}
    take = lambda row: Photo(dataset["validation"].ids[row], None, [])  # noqa: E731
    whole, part = (
        mistakes.diagnose(dataset, predicted, members, take, seen) for seen in (np.arange(5), np.array([0, 1, 3]))
    )
    assert (whole.unseen, part.unseen) == (0, 2)
    assert sum(each.count for each in part.reliability.bins) == 3 * 3
    assert shown(whole) == {"b", "c", "d"} and shown(part) == {"b", "d"}
    assert [doubtful.photo.id for doubtful in part.suspects.first] == ["d", "b"]


def shown(diagnosis):
    """Ids of the photos that stand among mistakes and doubts."""
    shown = [*diagnosis.false_positives, *diagnosis.false_negatives, *diagnosis.suspects.first]
    return {each.photo.id for each in shown}


@pytest.mark.parametrize("absent", [0, UNKNOWN])
def test_no_annotation_of_a_label_that_is_never_in_train_is_doubted_or_called_a_mistake(dataset, predicted, absent):
    targets = np.array([[absent, 1, 1], [absent, 1, 0]], np.uint8)
    train = Split("train", ("t", "u"), ((), ()), targets)
    learned = dataclasses.replace(dataset, splits=dataset.splits | {"train": train})
    take = lambda row: Photo(str(row), None, [])  # noqa: E731
    diagnosis = mistakes.diagnose(learned, predicted, {"member": predicted}, take, np.arange(5))
    labels = [mistake.label for mistake in (*diagnosis.false_positives, *diagnosis.false_negatives)]
    labels += [doubt.label for doubtful in diagnosis.suspects.first for doubt in doubtful.doubts]
    assert set(labels) == {1, 2} and diagnosis.suspects.annotations == 3


def test_a_confusion_says_how_many_photos_with_one_label_of_the_group_are_right(diagnosis):
    confusion = Confusion(columns=[1, 2], counts=[[3, 0, 0], [1, 1, 0]])
    assert diagnosis.confusions == {"brand": confusion}
    assert (confusion.photos, confusion.right) == (5, 0.8)
    assert diagnosis.confused == [Confused("brand", true=2, given=1, photos=1, share=0.5)]
