import dataclasses
import io

import numpy as np
from PIL import Image

from mlob.data.dataset import Split
from mlob.reports import report


def test_doubts_are_gathered_by_photo_and_the_most_doubtful_comes_first(diagnosis):
    found = diagnosis["suspects"]
    assert (found["annotations"], found["photos"]) == (5, 3)
    assert [(photo["id"], [doubt["label"] for doubt in photo["doubts"]]) for photo in found["first"]] == [
        ("c", [0, 2]),  # 0.01 for a dress that is annotated, 0.6 for a brand that is not
        ("d", [0]),  # 0.95 for a dress that is not
        ("b", [1, 2]),  # 0.9 for the brand that is not, 0.2 for the one that is
    ]


def test_a_photo_that_nothing_saw_is_no_mistake_casts_no_doubt_and_is_told(dataset, predicted):
    members = {"one": predicted}
    show = lambda row: {"id": dataset["validation"].ids[row]}  # noqa: E731
    whole, part = (
        report.diagnose(dataset, predicted, members, show, seen) for seen in (np.arange(5), np.array([0, 1, 3]))
    )
    assert (whole["unseen"], part["unseen"]) == (0, 2)
    assert sum(held["count"] for held in part["reliability"]["bins"]) == 3 * 3
    assert shown(whole) == {"b", "c", "d"} and shown(part) == {"b", "d"}
    assert [photo["id"] for photo in part["suspects"]["first"]] == ["d", "b"]
    photos = report.gallery(dataset["validation"].targets, predicted.decided, show, np.array([0, 1, 3]))
    assert {photo["id"] for photo in photos} == {"a", "b", "d"}


def shown(diagnosis):
    """Ids of the photos that stand among mistakes and doubts."""
    lists = [*diagnosis["mistakes"].values(), diagnosis["suspects"]["first"]]
    return {photo["id"] for photos in lists for photo in photos}


def test_no_annotation_of_a_label_that_is_never_in_train_is_doubted_or_called_a_mistake(dataset, predicted):
    targets = np.array([[0, 1, 1], [0, 1, 0]], np.uint8)
    train = Split("train", ("t", "u"), ((), ()), targets)
    learned = dataclasses.replace(dataset, splits=dataset.splits | {"train": train})
    show = lambda row: {"id": row}  # noqa: E731
    found = report.diagnose(learned, predicted, {"one": predicted}, show, np.arange(5))
    told = [photo["label"] for photos in found["mistakes"].values() for photo in photos]
    told += [doubt["label"] for photo in found["suspects"]["first"] for doubt in photo["doubts"]]
    assert set(told) == {1, 2} and found["suspects"]["annotations"] == 3


def test_a_confusion_says_how_many_photos_with_one_label_of_the_group_are_right(diagnosis):
    assert list(diagnosis["confusions"]) == ["brand"]
    assert diagnosis["confusions"]["brand"] == {
        "columns": [1, 2],
        "counts": [[3, 0, 0], [1, 1, 0]],
        "photos": 5,
        "right": 0.8,
    }
    assert diagnosis["confused"] == [{"group": "brand", "true": 2, "given": 1, "photos": 1, "share": 0.5}]


def test_a_photo_is_taken_small_and_once_and_one_that_cannot_be_read_has_no_picture(dataset):
    (dataset.folder / "images").mkdir()
    Image.new("RGB", (400, 300), "red").save(dataset.folder / "images" / "a.jpg")
    show = report.camera(dataset)
    taken = show(0)
    assert (taken["id"], taken["true"]) == ("a", [0, 1]) and show(0) is taken
    assert Image.open(io.BytesIO(taken["image"])).size == (160, 120)
    assert show(1) == {"id": "b", "image": None, "true": [0, 2]}


def test_the_gallery_shows_each_photo_once_with_what_was_decided(dataset, predicted):
    targets = dataset["validation"].targets
    shown = list(report.gallery(targets, predicted.decided, lambda row: {"row": row}, np.arange(5)))
    assert sorted(photo["row"] for photo in shown) == list(range(len(targets)))
    assert all(photo["predicted"] == np.flatnonzero(predicted.decided[photo["row"]]).tolist() for photo in shown)
