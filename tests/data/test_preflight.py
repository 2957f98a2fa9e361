"""What stops a data set is refused in one sentence with its mend; what looks odd is told, and stops nothing."""

import dataclasses

import numpy as np
import pytest
from scipy.sparse import csr_array

from mlob.data import preflight
from mlob.data.dataset import DataSet, Split
from mlob.errors import InputError
from mlob.labels import Labels

NAMES = ("coat", "dress", "red")


def data_set(folder, names=NAMES, **splits):
    """A data set of splits given as targets, or as the number of photos without labels."""
    found = {}
    for name, targets in splits.items():
        count = targets if isinstance(targets, int) else len(targets)
        marks = None if isinstance(targets, int) else np.array(targets, np.uint8)
        found[name] = Split(name, tuple(map(str, range(count))), ((),) * count, marks)
    labels = Labels(tuple(range(len(names))), tuple(names), ("label",) * len(names))
    return DataSet("made", folder, labels, found)


def ordinary(rows=200, columns=3):
    return (np.random.default_rng(0).random((rows, columns)) < 0.5).astype(np.uint8)


def with_photos(dataset):
    for name, split in dataset.splits.items():
        (dataset.folder / "images" / name).mkdir(parents=True)
        for photo in split.ids:
            (dataset.folder / "images" / name / f"{photo}.jpg").write_bytes(b"photo")
    return dataclasses.replace(dataset, tree=None)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"validation": ordinary()}, r"has no train split \(found: validation\): add train\.json, or rows"),
        ({"train": ordinary()}, r"has no validation split \(found: train\): add validation\.json, or rows"),
        ({"train": 9, "validation": ordinary()}, "The train split of .* has no labels: .* can be trained on it"),
        ({"train": ordinary(), "validation": 9}, "The validation split of .* has no labels: .* can be judged on it"),
        ({"train": ordinary(4), "validation": ordinary()}, "train split of .* has 4 photos, expected at least 5: add"),
        ({"train": ordinary(), "validation": [[1, 0, 0]]}, "validation split of .* has 1 photo, expected at least 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_and_judged_is_refused_with_its_mend(tmp_path, splits, message):
    dataset = data_set(tmp_path, **splits)
    with pytest.raises(InputError, match=message):
        preflight.check(dataset)
    assert any(line.startswith("To mend: ") for line in preflight.summary(dataset).splitlines())


def test_test_is_asked_for_by_those_alone_who_write_a_submission(tmp_path):
    dataset = data_set(tmp_path, train=ordinary(), validation=ordinary())
    preflight.check(dataset)
    with pytest.raises(InputError, match="has no test split"):
        preflight.check(dataset, ("train", "validation", "test"))
    assert "there is no test split, so no submission can be written" in preflight.summary(dataset)
    preflight.check(data_set(tmp_path, train=ordinary(), validation=ordinary(), test=3), ("train", "test"))


def test_an_ordinary_data_set_is_ready_and_nothing_looks_odd(tmp_path):
    dataset = with_photos(data_set(tmp_path, train=ordinary(), validation=ordinary(), test=100))
    assert preflight.summary(dataset) == "Ready: `mlob submission` or any other verb can begin."


def test_a_split_of_which_no_photo_is_there_is_to_be_mended(tmp_path):
    dataset = data_set(tmp_path, train=ordinary(), validation=ordinary(), test=100)
    assert "To mend: None of the 100 photos of test is in" in preflight.summary(dataset)


def doubt(folder, names=NAMES, **splits):
    return " ".join(preflight.doubts(data_set(folder, names, **splits)))


@pytest.mark.parametrize(
    ("names", "is_odd"),
    [
        (("coat, red", "dress, red", "hat"), True),
        (("coat;red", "dress;red", "hat"), True),
        (("coat, red", "coat", "red"), True),
        (("coat, woollen", "dress", "red"), False),
    ],
)
def test_labels_that_look_like_several_in_one_are_told(tmp_path, names, is_odd):
    found = doubt(tmp_path, names, train=np.tile(np.eye(3, dtype=np.uint8), (50, 1)))
    assert ("separate them by |" in found) == is_odd


def test_a_comma_in_the_name_of_a_label_beside_others_is_not_doubted(tmp_path):
    assert "separate" not in doubt(tmp_path, ("Red, dark", "Blue, pale", "coat"), train=ordinary())


def test_a_label_on_every_photo_one_on_hardly_any_and_small_splits_are_told(tmp_path):
    targets = ordinary()
    targets[:, 0] = 1
    targets[:, 1] = 0
    targets[:9, 1] = 1
    found = doubt(tmp_path, train=targets, validation=ordinary(7))
    assert "coat: on every train photo" in found and "dress: on fewer than 10 train photos" in found
    assert "validation has 7 photos" in found and "train has" not in found and "red" not in found


def test_labels_of_nearly_one_name_are_told(tmp_path):
    assert "'Red' and 'red ', 'T-shirt' and 'T-Shirt': labels with nearly the same name" in doubt(
        tmp_path, ("Red", "T-shirt", "red ", "T-Shirt", "blue"), train=ordinary(columns=5)
    )


def test_products_that_given_splits_tear_apart_are_counted(tmp_path):
    dataset = data_set(tmp_path, train=ordinary(3), validation=ordinary(3), test=2)
    together = {"train": ["a", "b", ""], "validation": ["b", "c", ""], "test": ["c", "b"]}
    splits = {name: dataclasses.replace(dataset[name], together=names) for name, names in together.items()}
    told = preflight.doubts(dataclasses.replace(dataset, splits=splits))[-1]
    assert told.startswith("photos of 2 products stand in several splits (of 'b' in train and validation and test): ")
    assert "product" not in " ".join(preflight.doubts(dataset))


@pytest.mark.parametrize("kind", [np.array, csr_array])
def test_photos_of_which_nothing_is_known_do_not_count(tmp_path, kind):
    validation = ordinary()
    validation[2:] = 255
    dataset = data_set(tmp_path, train=ordinary(), validation=validation)
    split = dataclasses.replace(dataset["validation"], annotations=kind(validation))
    dataset = dataclasses.replace(dataset, splits=dataset.splits | {"validation": split})
    with pytest.raises(InputError, match="has 2 photos of which something is known, expected at least 3"):
        preflight.check(dataset)
    assert "validation has 2 photos of which something is known: with fewer" in preflight.summary(with_photos(dataset))


def test_what_is_never_known_or_only_where_it_is_there_is_told(tmp_path):
    train, validation = ordinary(), ordinary()
    train[train[:, 0] == 0, 0] = 255
    train[:, 1], train[:9, 1] = 255, 1
    validation[:, 2] = 255
    found = doubt(tmp_path, train=train, validation=validation)
    assert "coat, dress: on every train photo of which it is known, so nothing can be learned" in found
    assert "dress: on fewer than 10 train photos" in found
    assert "red: unknown on every validation photo, so it cannot be judged" in found
    train[:, 1] = 255
    assert "dress: unknown on every train photo, so it cannot be learned" in doubt(tmp_path, train=train)


def test_a_name_that_two_groups_have_is_told_with_its_group(tmp_path):
    dataset = data_set(tmp_path, ("Casual", "Casual", "red"), train=[[1, 0, 1]] * 200)
    labels = dataclasses.replace(dataset.labels, groups=("style", "usage", "colour"))
    told = " ".join(preflight.doubts(dataclasses.replace(dataset, labels=labels)))
    assert "style: Casual, red: on every train photo" in told
