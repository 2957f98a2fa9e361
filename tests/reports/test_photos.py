import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlob.reports import photos
from mlob.reports.photos import Photo

matrices = st.integers(1, 30).flatmap(
    lambda n: st.tuples(*[st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=n, max_size=n)] * 2)
)


@settings(deadline=None)
@given(matrices, st.integers(1, 4))
def test_every_label_has_its_photos_and_none_is_chosen_twice(matrix, per_label):
    targets, decided = np.array(matrix[0]), np.array(matrix[1])
    rows = photos.choose(targets, decided, per_label=per_label)
    assert len(rows) == len(set(rows))
    assert (targets[rows].sum(axis=0) >= np.minimum(targets.sum(axis=0), per_label)).all()


@settings(deadline=None)
@given(matrices, st.integers(0, 6))
def test_fewer_photos_are_the_first_of_more(matrix, most):
    targets, decided = np.array(matrix[0]), np.array(matrix[1])
    assert list(photos.choose(targets, decided, most=most)) == list(photos.choose(targets, decided))[:most]


def test_a_label_shows_a_hit_first_and_a_miss_next():
    targets, decided = np.ones((6, 1)), np.array([[0], [0], [1], [1], [1], [0]])
    assert list(photos.choose(targets, decided, per_label=3)) == [2, 0, 3]


def test_a_photo_is_taken_small_and_once_and_one_that_cannot_be_read_has_no_picture(dataset):
    (dataset.folder / "images").mkdir()
    Image.new("RGB", (400, 300), "red").save(dataset.folder / "images" / "a.jpg")
    take = photos.camera(dataset)
    photo = take(0)
    assert (photo.id, photo.true) == ("a", [0, 1]) and take(0) is photo
    assert Image.open(io.BytesIO(photo.image)).size == (160, 120)
    assert take(1) == Photo("b", None, [0, 2])


def test_the_gallery_shows_each_photo_once_with_what_was_decided(dataset, predicted):
    targets = dataset["validation"].targets
    shown = list(photos.gallery(targets, predicted.decided, lambda row: Photo(row, None, []), np.arange(5)))
    assert sorted(labelled.photo.id for labelled in shown) == list(range(len(targets)))
    for labelled in shown:
        assert labelled.predicted == np.flatnonzero(predicted.decided[labelled.photo.id]).tolist()


def test_a_photo_that_no_model_saw_is_not_in_the_gallery(dataset, predicted):
    take, seen = (lambda row: Photo(row, None, [])), np.array([0, 1, 3])
    shown = photos.gallery(dataset["validation"].targets, predicted.decided, take, seen)
    assert {labelled.photo.id for labelled in shown} == {0, 1, 3}


def test_a_predicted_label_of_which_nobody_knows_is_not_called_wrong():
    targets, decided = np.uint8([[1, 255, 255], [0, 1, 0]]), np.uint8([[1, 1, 0], [1, 1, 0]])
    shown = photos.gallery(targets, decided, lambda row: Photo(str(row), None, []), np.arange(2))
    found = {labelled.photo.id: (labelled.predicted, labelled.unknown) for labelled in shown}
    assert found == {"0": ([0, 1], [1]), "1": ([0, 1], [])}


def test_a_photo_is_not_chosen_for_a_label_that_it_may_not_have():
    targets = np.uint8([[255], [255], [1], [0]])
    assert photos.choose(targets, np.ones((4, 1))).tolist() == [2]
