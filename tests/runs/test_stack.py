import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob import predictions
from mlob.data.dataset import DataSet, Split
from mlob.data.splits import places
from mlob.labels import UNKNOWN, Labels
from mlob.runs import stack
from mlob.runs.stack import Stack

PHOTOS = st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), min_size=1, max_size=12)


def stacked(products, seed=0):
    """A stack of two members and three labels, a row for each photo."""
    generator, count = np.random.default_rng(seed), len(products)
    members = generator.random((2, count, 3)).astype(np.float32)
    targets = generator.choice([0, 1, UNKNOWN], (count, 3)).astype(np.uint8)
    return Stack(members, targets, [f"product {name}" for name in products], places(count, products))


@settings(deadline=None)
@given(PHOTOS, st.integers(0, 9))
def test_a_row_is_the_mean_of_its_readable_photos_and_has_the_labels_of_all(photos, seed):
    products, is_read = zip(*photos, strict=True)
    before = stacked(products, seed)
    found = stack.averaged(before, np.array(is_read))
    assert found.keys == [f"product {name}" for name in dict.fromkeys(products)]
    assert (found.members.dtype, found.targets.dtype) == (np.float32, np.uint8)
    for row, name in enumerate(dict.fromkeys(products)):
        rows = [number for number, product in enumerate(products) if product == name]
        counted = [number for number in rows if is_read[number]] or rows
        assert found.members[:, row] == pytest.approx(before.members[:, counted].mean(axis=1), abs=1e-6)
        for column in range(3):
            seen = set(before.targets[rows, column].tolist())
            assert found.targets[row, column] == (1 if 1 in seen else UNKNOWN if UNKNOWN in seen else 0)
        assert (found.place[rows] == row).all()


def test_photos_by_themselves_stay_as_they_are():
    before = stacked("abcd")
    assert stack.averaged(before, np.array([True, False, True, True])) is before


def test_a_split_without_labels_has_none_for_its_products():
    without = Stack(stacked("aab").members, None, ["a", "a", "b"], places(3, "aab"))
    found = stack.averaged(without, np.ones(3, bool))
    assert found.targets is None and found.members.shape == (2, 2, 3)


@pytest.mark.parametrize(("is_averaged", "expected"), [(True, [0.5, 0.25]), (False, [0.5, 0.75, 0.25])])
def test_a_photo_that_could_not_be_read_has_a_row_by_itself_and_no_say_in_its_products(tmp_path, is_averaged, expected):
    split = Split("validation", ("a", "b", "c"), ((),) * 3, np.ones((3, 1), np.uint8), together=("shirt", "shirt", ""))
    dataset = DataSet("made", "nowhere", Labels((1,), ("red",), ("colour",)), {"validation": split})
    digests = np.array([7, 0, 9], np.uint64)  # b could not be read
    table = predictions.Table(split.ids, np.array([[0.5], [0.75], [0.25]], np.float32), digests=digests)
    predictions.write(tmp_path / "predictions.h5", {"validation": table})
    found = stack.read(dataset, {"one": tmp_path}, is_averaged)["validation"]
    assert found.members[0, :, 0].tolist() == expected
    assert found.members[0, found.place, 0].tolist() == ([0.5, 0.5, 0.25] if is_averaged else expected)
