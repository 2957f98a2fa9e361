"""Extractors that stay ready give what is extracted to disk, photo by photo."""

import dataclasses

import numpy as np
import pytest

from mlob.errors import InputError
from mlob.features import extract, new_photos, pixels, plan, runtimes, store, warm, weights
from mlob.recipes import FeatureSet

SETS = {
    "small": FeatureSet("mobilenet", weights="random"),
    "flipped": FeatureSet("mobilenet", weights="random", view="flip"),
    "tiny": FeatureSet("mobilenet", weights="random", size="tiny"),
    "raw": FeatureSet("pixels", size="tiny", pool="grid"),
    "jpegs": FeatureSet("pixels", size="tiny", pool="grid", precision="jpeg95"),
}


def fingerprint(feature_set):
    if feature_set.backbone == "pixels":
        return plan.fingerprint(feature_set, pixels.source(feature_set), pixels.Pixels(feature_set).choice)
    return extract.fingerprint(feature_set, weights.random(), runtimes.Choice("keras", "float32"))


@pytest.fixture
def stores(tmp_path, network, monkeypatch):
    """Folders of stores without features, {name: folder}; photos go through two at a time."""
    monkeypatch.setattr(warm, "load_keras", lambda: None)
    monkeypatch.setattr(new_photos, "load_keras", lambda: None)
    monkeypatch.setattr(warm, "CHUNK", 2)
    for name, feature_set in SETS.items():
        store.declare(tmp_path / name, fingerprint(feature_set))
    return {name: tmp_path / name for name in SETS}


def ready(stores):
    return warm.Warm({name: new_photos.alike(SETS[name], folder, None) for name, folder in stores.items()})


def test_features_are_those_that_are_kept_on_disk_and_failures_too(photos, stores, spoil, tmp_path):
    spoil(photos)
    places = {f"{split} {row}": place for split in photos.splits for row, place in enumerate(photos.photos(split))}
    places = {digest: place for digest, place in places.items() if place is not None}
    before = sorted(tmp_path.rglob("*"))
    features, failures = ready(stores)(places)
    assert sorted(tmp_path.rglob("*")) == before
    assert {reason.partition(":")[0] for reason in failures.values()} == {"not decoded", "blank", "empty file"}
    for name, folder in stores.items():
        kept, failed = new_photos.extract(SETS[name], folder, places, tmp_path / "new" / name)
        assert failed == failures and features[name].keys() == {*kept} == {*places} - {*failures}
        for digest in kept:
            np.testing.assert_array_equal(features[name][digest], kept[digest])
            assert features[name][digest].dtype == kept[digest].dtype


def test_each_network_sees_each_photo_once(photos, stores, network):
    run = ready(stores)
    for _ in range(2):
        network.seen = 0
        run(dict(zip("abc", photos.photos("train"), strict=False)))
        assert network.seen == 3 * 3  # of three networks


def test_without_stores_or_photos_there_is_nothing(stores):
    assert warm.Warm({})({}) == ({}, {})
    features, failures = ready(stores)({})
    assert features.keys() == SETS.keys() and not any(features.values()) and failures == {}


def test_what_one_network_raises_is_raised_when_none_is_left_running(photos, stores, network, monkeypatch):
    run = ready(stores)
    places = dict(zip("ab", photos.photos("train"), strict=False))
    with monkeypatch.context() as patch:
        patch.setattr(type(network), "__call__", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(places)
    features, _ = run(places)
    assert {*features["small"]} == {"a", "b"}


def test_other_weights_than_the_stores_are_refused(stores, tmp_path):
    other = dataclasses.replace(fingerprint(SETS["small"]), weights="others")
    store.declare(tmp_path / "others", other)
    with pytest.raises(InputError, match="other weights of mobilenet"):
        new_photos.alike(SETS["small"], tmp_path / "others", None)
