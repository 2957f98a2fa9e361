"""Pixels that are kept as JPEGs: a store of them keeps the contract of all stores."""

import contextlib
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.data import images
from mlob.data.dataset import read_dataset
from mlob.errors import InputError, Unreadable
from mlob.features import backbones, extract, jpegs, new_photos, store
from mlob.features.fingerprint import Fingerprint
from mlob.recipes import FeatureSet
from mlob.training import batches

RAW = FeatureSet("pixels", pool="grid")
RECIPE = dataclasses.replace(RAW, precision="jpeg95")
FINGERPRINT = Fingerprint("pixels", 16, "last", "grid", "whole", 1, "any", "none", "decoder", "jpeg95", None)


def decoded(rows, size=16):
    """Give JPEGs as pixels."""
    return np.array([images.from_jpeg(row, size) for row in rows], np.uint8).reshape(-1, size, size, 3)


def run(dataset, folder, recipe=RECIPE):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "SLICE_OF_PIXELS", 5)
        extract.extract({"pixels": (recipe, folder)}, dataset)
    return folder


@pytest.fixture(scope="module")
def pixels(drawn, tmp_path_factory):
    """A store of the drawn photos, in shards of five."""
    return run(read_dataset(drawn), tmp_path_factory.mktemp("features") / "pixels")


@pytest.fixture(scope="module")
def train(drawn, pixels):
    return batches.read([pixels], read_dataset(drawn)["train"])


@pytest.fixture
def written(tmp_path):
    """A shard of three photos of noise, 16 pixels a side, and these photos as they are decoded."""
    photos = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    rows = jpegs.encode(photos)
    path = store.shard_path(tmp_path / "0001", 0)
    store.write(path, store.Shard(("a", "b", "c"), rows, np.arange(3, dtype=np.uint64), {}), FINGERPRINT)
    return path, decoded(rows)


# The photos


def test_photos_are_kept_within_a_few_grey_levels_in_a_quarter_of_the_bytes(drawn, pixels, train):
    dataset = read_dataset(drawn)
    raw = np.array([images.decode(images.content(place), 224) for place in dataset.photos("train")])
    found = train.features[:]
    assert found.dtype == np.uint8 and found.shape == raw.shape
    errors = np.abs(found.astype(int) - raw)
    assert 0 < errors.mean() < 2 and np.quantile(errors, 0.99) <= 6
    assert sum(path.stat().st_size for path in pixels.glob("0001/*.h5")) < 24 * raw[0].nbytes / 4


@given(arrays.arrays(np.uint8, (3,)), st.integers(1, 40))
@settings(deadline=None, max_examples=50)
def test_one_colour_stays_within_two_levels(colour, size):
    photo = np.broadcast_to(colour, (size, size, 3)).copy()
    assert np.abs(images.from_jpeg(images.to_jpeg(photo), size).astype(int) - photo).max() <= 2


@given(arrays.arrays(np.uint8, (0, 9, 9, 3)) | arrays.arrays(np.uint8, (3, 9, 9, 3)))
@settings(deadline=None, max_examples=20)
def test_what_is_joined_is_parted(photos):
    rows = jpegs.encode(photos)
    assert jpegs.part(*jpegs.join(rows)).tolist() == rows.tolist() and decoded(rows, 9).shape == photos.shape


@pytest.mark.parametrize("ends", [[5, 3, 9], [3, 5], [3, 5, 8], [-1, 5, 9]])
def test_ends_that_are_none_are_refused(ends):
    with pytest.raises(ValueError, match="9 bytes of JPEGs"):
        jpegs.part(np.zeros(9, np.uint8), np.array(ends))


@pytest.mark.parametrize("size", [15, 17])
def test_a_photo_of_another_size_is_refused(size):
    with pytest.raises(Unreadable, match="16, 16"):
        images.from_jpeg(images.to_jpeg(np.zeros((16, 16, 3), np.uint8)), size)


# The store


def test_equal_photos_give_equal_bytes_and_a_second_run_makes_nothing(drawn, pixels, shards, tmp_path):
    before = shards(pixels)
    assert shards(run(read_dataset(drawn), tmp_path / "pixels")) == before
    run(read_dataset(drawn), pixels)
    assert shards(pixels) == before and len(before) == 3 + 2 + 1


@pytest.mark.parametrize("chosen", [[11, 0, 7, 4, 5], [3, 3, 9], [2], slice(1, 8), slice(0, 12, 5)])
def test_any_rows_are_read_in_any_order(train, chosen):
    chosen = chosen if isinstance(chosen, slice) else np.array(chosen)
    np.testing.assert_array_equal(train.features[chosen], train.features[:][chosen])


def test_no_photo_is_decoded_that_was_not_asked_for(train, monkeypatch):
    decoded = []
    monkeypatch.setattr(images, "from_jpeg", lambda data, size: decoded.append(data) or np.zeros((size, size, 3)))
    train.features[np.array([0, 4, 9])]
    assert len(decoded) == 3


def test_a_streamed_epoch_has_the_resident_rows(train, monkeypatch):
    monkeypatch.setattr(batches, "RUN", 2)
    labelled = batches.Labelled(train.ids, train.features, train.targets)
    row_bytes = (train.features.nbytes + train.targets.nbytes) // len(train.ids)
    streamed = dataclasses.replace(labelled, memory_bytes=(batches.CHUNKS + 4) * 2 * row_bytes)  # windows of four rows

    def rows(source):
        epoch = batches.epoch(source, 2, np.random.default_rng(0))
        return [row.tobytes() for features, _ in epoch for row in features.reshape(-1, *features.shape[2:])]

    found = rows(streamed)
    assert isinstance(streamed.features, batches.Stored) and len(found) == len(train.ids)
    assert sorted(found) == sorted(rows(labelled.resident()))


def test_new_photos_are_seen_alike_the_first_time_and_later(drawn, pixels, tmp_path):
    photos = {f"{number:02d}": place for number, place in enumerate(read_dataset(drawn).photos("test"))}
    first, second = (new_photos.extract(RECIPE, pixels, photos, tmp_path)[0] for _ in range(2))
    assert len(first) == len(photos)
    expected = batches.read([pixels], read_dataset(drawn)["test"]).features[:]
    for number, name in enumerate(photos):
        np.testing.assert_array_equal(first[name], expected[number])
        np.testing.assert_array_equal(second[name], expected[number])


def test_raw_pixels_and_jpegs_are_not_mixed(drawn, tmp_path):
    run(read_dataset(drawn), tmp_path, RAW)
    with pytest.raises(InputError, match="precision 'uint8', but 'jpeg95' is asked for"):
        run(read_dataset(drawn), tmp_path)


def test_features_of_a_network_are_no_jpegs():
    backbones.check(RECIPE)
    with pytest.raises(InputError, match='"jpeg95" is of pixels, not of mobilenet'):
        backbones.check(FeatureSet("mobilenet", precision="jpeg95"))


# Damage


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_anywhere_never_gives_other_pixels(seed, written):
    path, photos = written
    data, generator = path.read_bytes(), np.random.default_rng(seed)
    refused = 0
    for place in range(seed, len(data), 16):
        changed = bytearray(data)
        changed[place] ^= 1 << generator.integers(8)
        path.write_bytes(changed)
        for other in (store.header, store.extent, store.read_without_features):
            with contextlib.suppress(InputError):
                other(path)
        try:
            np.testing.assert_array_equal(decoded(store.read(path).features), photos)
        except InputError as error:
            assert "damaged" in str(error)
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("photo", range(3))
def test_a_photo_that_is_damaged_while_it_is_used_is_told_by_name(photo, written):
    path, photos = written
    rows, found = store.read(path).features, store.extent(path)
    data = path.read_bytes()
    assert data.count(rows[photo]) == 1
    path.write_bytes(data.replace(rows[photo], bytes(len(rows[photo]))))
    with pytest.raises(InputError, match=rf"00000.h5 is damaged \(photo '{'abc'[photo]}': not decoded\): remove"):
        found.read(0, 3)
    others = np.array([row for row in range(3) if row != photo])
    np.testing.assert_array_equal(found.take(others), photos[others])


def test_a_shard_cut_short_while_it_is_used_is_told(written):
    path, _ = written
    found = store.extent(path)
    path.write_bytes(path.read_bytes()[: found.offset + 100])
    with pytest.raises(InputError, match="changed while it was read"):
        found.read(0, 3)
