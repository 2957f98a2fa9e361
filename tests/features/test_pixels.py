"""The backbone that does nothing: its store holds photos as they are decoded, by the contract of all stores."""

import dataclasses

import numpy as np
import pytest

from mlob.data import images
from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.features import backbones, extract, plan, store
from mlob.recipes import FeatureSet
from mlob.training import batches

RECIPE = FeatureSet("pixels", pool="grid")


def run(dataset, folder, recipe=RECIPE):
    extract.extract({"pixels": (recipe, folder)}, dataset)


@pytest.fixture(scope="module")
def pixels(drawn, tmp_path_factory):
    """A store of the drawn photos, in shards of five."""
    folder = tmp_path_factory.mktemp("features") / "pixels"  # beside it lie no other tests' folders
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "SLICE_OF_PIXELS", 5)
        run(read_dataset(drawn), folder)
    return folder


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_rows_are_the_letterboxed_photos(drawn, pixels, split):
    dataset = read_dataset(drawn)
    rows = batches.read([pixels], dataset[split])
    expected = [images.decode(images.content(place), 224) for place in dataset.photos(split)]
    assert rows.features.dtype == np.uint8
    np.testing.assert_array_equal(rows.features[:], expected)


def test_any_rows_are_read_in_any_order(drawn, pixels):
    rows = batches.read([pixels], read_dataset(drawn)["train"]).features
    chosen = np.array([11, 0, 7, 4, 5])
    np.testing.assert_array_equal(rows[chosen], rows[:][chosen])


def test_its_memory_is_a_byte_a_number(drawn, pixels):
    rows = batches.read([pixels], read_dataset(drawn)["train"]).features
    assert rows.nbytes == rows[:].nbytes == 12 * 224 * 224 * 3


def test_a_second_run_makes_nothing(drawn, pixels, shards):
    before = shards(pixels)
    run(read_dataset(drawn), pixels)
    assert shards(pixels) == before and len(before) == 3 + 2 + 1


def test_no_network_is_loaded(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(backbones, "find", lambda *_: pytest.fail("a backbone was asked for"))
    run(read_dataset(drawn), tmp_path / "pixels")


def test_a_dry_run_says_what_becomes_of_the_photos(drawn, tmp_path):
    made = plan.plan({"pixels": (RECIPE, tmp_path / "none")}, read_dataset(drawn))["pixels"]
    assert made.summary(RECIPE).endswith("24 photos to be decoded, whose pixels are kept, no rate measured yet")


@pytest.mark.parametrize("field", ["layer", "pool", "weights", "runtime", "precision"])
def test_what_a_network_alone_has_is_refused(field):
    other = {"pool": "avg", "runtime": "keras", "precision": "float32"}.get(field, "other")
    with pytest.raises(InputError, match="A feature set of pixels"):
        backbones.check(dataclasses.replace(RECIPE, **{field: other}))


@pytest.mark.parametrize("size", ["tiny", "small", "large", "huge", 8, 384])
def test_it_takes_any_size(size):
    backbones.check(dataclasses.replace(RECIPE, size=size))
