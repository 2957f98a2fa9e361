import io

import numpy as np
from PIL import Image

from mlob.reports import report


def test_doubts_are_gathered_by_photo_and_the_most_doubtful_comes_first(diagnosis):
    found = diagnosis["suspects"]
    assert (found["annotations"], found["photos"]) == (5, 3)
    assert [(photo["id"], [doubt["label"] for doubt in photo["doubts"]]) for photo in found["first"]] == [
        ("c", [0, 2]),  # 0.01 for a dress that is annotated, 0.6 for a brand that is not
        ("d", [0]),  # 0.95 for a dress that is not
        ("b", [1, 2]),  # 0.9 for the brand that is not, 0.2 for the one that is
    ]


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
    shown = list(report.gallery(targets, predicted.decided, lambda row: {"row": row}))
    assert sorted(photo["row"] for photo in shown) == list(range(len(targets)))
    assert all(photo["predicted"] == np.flatnonzero(predicted.decided[photo["row"]]).tolist() for photo in shown)
