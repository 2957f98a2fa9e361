"""A store grows with its catalogue: whatever the history, each photo is extracted once, and rows are equal."""

import concurrent.futures
import functools
import io
import json
import time

import numpy as np
import pytest
from PIL import Image

from mlob.data.dataset import read_dataset
from mlob.features import decoding, extract, store
from mlob.recipes import FeatureSet

RECIPE = FeatureSet("mobilenet", weights="random")
FLIPPED = FeatureSet("mobilenet", weights="random", view="flip")
SPLITS = ("train", "validation", "test")
DELIVERIES = 10


class Catalogue:
    """Annotations and photos on disk that change at random. Ids count from 1 in each split."""

    def __init__(self, folder, seed):
        self.folder, self.generator = folder, np.random.default_rng(seed)
        self.photos = {split: {} for split in SPLITS}  # {split: {id: (content, label)}}; a content below 0 is broken
        self.last, self.contents = 0, set()
        for split in SPLITS:
            self.add(split, 7)

    def add(self, split, count):
        for _ in range(count):
            self.last += 1
            broken = self.generator.random() < 0.2
            name = str(max(map(int, self.photos[split]), default=0) + 1)
            self.photos[split][name] = (-self.last if broken else self.last, int(self.generator.integers(1, 4)))

    def change(self):
        """Rows are added, removed, moved, renamed; photos are mended, replaced, or there twice."""
        self.add(self.any_split(), int(self.generator.integers(1, 6)))
        for _ in range(int(self.generator.integers(1, 6))):
            split, kind = self.any_split(), self.generator.integers(6)
            name = str(self.generator.choice([*self.photos[split]]))
            content, label = self.photos[split][name]
            if kind < 3 and len(self.photos[split]) > 3:  # removed, renamed or moved
                del self.photos[split][name]
            if kind == 1:
                self.photos[split][f"{int(name) + 100}"] = (content, label)
            elif kind == 2:
                self.photos[self.any_split()][f"{int(name) + 1000}"] = (content, label)
            elif kind == 3:
                self.photos[split][name] = (abs(content), label)  # mended where it was broken
            elif kind == 4:
                self.last += 1
                self.photos[split][name] = (self.last, label)
            elif kind == 5:
                self.photos[split][f"{int(name) + 10_000}"] = (content, label)

    def any_split(self):
        return str(self.generator.choice(SPLITS))

    def write(self):
        """Write what has changed; give the data set."""
        for split, photos in self.photos.items():
            home = self.folder / "images" / split
            home.mkdir(parents=True, exist_ok=True)
            for path in home.iterdir():
                if path.stem not in photos:
                    path.unlink()
            for name, (content, _) in photos.items():
                self.contents |= {content} if content > 0 else set()
                data = drawn(content)
                path = home / f"{name}.png"
                if not (path.exists() and path.read_bytes() == data):
                    path.write_bytes(data)
            listed = {
                "images": [{"imageId": name, "url": ""} for name in photos],
                "annotations": [{"imageId": name, "labelId": [label]} for name, (_, label) in photos.items()],
            }
            (self.folder / f"{split}.json").write_text(json.dumps(listed))
        return read_dataset(self.folder)


@functools.cache
def drawn(content):
    """The bytes of a photo, those of a broken one below 0."""
    pixels, buffer = np.random.default_rng(abs(content)).integers(0, 256, (8, 8, 3), np.uint8), io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue() if content > 0 else buffer.getvalue()[:60]


def killed_after(count, monkeypatch, sets, dataset):
    """Extract, but for a Ctrl-C at the n-th photo."""
    left = [count]

    def photo(place, size, views, decode=decoding.photo):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return decode(place, size, views)

    with monkeypatch.context() as patched:
        patched.setattr(extract, "_sample", lambda *_: None)
        patched.setattr(decoding, "photo", photo)
        try:
            extract.extract(sets, dataset)
        except KeyboardInterrupt:
            return


def deliver(sets, dataset, generator, monkeypatch):
    """Extract in one of the ways that people do: at once, killed and resumed, or in parts, in any order."""
    way = generator.integers(3)
    if way == 0:
        killed_after(int(generator.integers(1, 10)), monkeypatch, sets, dataset)
    if way == 1:
        for part in generator.permutation(3):
            extract.extract(sets, dataset, part=(int(part) + 1, 3))
    extract.extract(sets, dataset)


def grown(folder, sets, seed, monkeypatch):
    """Ten deliveries of a catalogue, into stores."""
    catalogue, generator = Catalogue(folder, seed), np.random.default_rng(seed)
    for number in range(DELIVERIES):
        if number:
            catalogue.change()
        dataset = catalogue.write()
        deliver(sets, dataset, generator, monkeypatch)
    return catalogue, dataset


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_ten_deliveries_end_as_one_and_each_different_photo_is_extracted_once(
    seed, network, tmp_path, monkeypatch, rows, shards
):
    catalogue, dataset = grown(tmp_path / "photos", {"set": (RECIPE, tmp_path / "store")}, seed, monkeypatch)
    made = [digest for path in (tmp_path / "store").glob("*/[0-9]*.h5") for digest in store.read(path).digests.tolist()]
    assert len(made) == len(set(made)) == len(catalogue.contents)  # what is gone stays
    network.seen = 0
    at_once = read_dataset(tmp_path / "photos")
    extract.extract({"set": (RECIPE, tmp_path / "once")}, at_once)
    assert network.seen == len(
        {content for of in catalogue.photos.values() for content, _ in of.values() if content > 0}
    )
    assert rows(tmp_path / "store", dataset) == rows(tmp_path / "once", at_once)
    for split in SPLITS:
        assert np.array_equal(dataset[split].targets, at_once[split].targets)
        assert len(dataset[split].ids) == len(catalogue.photos[split])


@pytest.mark.slow
def test_no_photo_of_any_delivery_goes_through_the_network_twice(network, tmp_path, monkeypatch):
    """Ways that are not interrupted, so that the network's count is exact."""
    monkeypatch.setattr(extract, "_sample", lambda *_: None)
    catalogue = Catalogue(tmp_path / "photos", 9)
    for number in range(DELIVERIES):
        for part in np.random.default_rng(number).permutation(3):
            extract.extract({"set": (RECIPE, tmp_path / "store")}, catalogue.write(), part=(int(part) + 1, 3))
        assert network.seen == len(catalogue.contents)
        catalogue.change()


@pytest.mark.slow
def test_the_same_history_gives_the_same_bytes(network, tmp_path, monkeypatch, shards):
    for name in ("one", "other"):
        grown(tmp_path / name / "photos", {"set": (RECIPE, tmp_path / name / "store")}, 5, monkeypatch)
    assert shards(tmp_path / "one" / "store") == shards(tmp_path / "other" / "store")


def test_two_feature_sets_of_one_size_decode_each_photo_once_for_both(network, tmp_path, monkeypatch, rows):
    sets = {"plain": (RECIPE, tmp_path / "plain"), "flip": (FLIPPED, tmp_path / "flip")}
    monkeypatch.setattr(extract, "_sample", lambda *_: None)
    decoded = []

    def photo(place, size, views, decode=decoding.photo):
        decoded.append(place)
        return decode(place, size, views)

    monkeypatch.setattr(decoding, "photo", photo)
    catalogue = Catalogue(tmp_path / "photos", 3)
    extract.extract(sets, catalogue.write())
    catalogue.add("train", 5)
    dataset = catalogue.write()
    extract.extract(sets, dataset)
    assert len(decoded) == len(set(decoded)) == sum(map(len, catalogue.photos.values()))
    for recipe, folder in sets.values():
        extract.extract({"alone": (recipe, tmp_path / "alone" / folder.name)}, dataset)
        assert rows(tmp_path / "alone" / folder.name, dataset) == rows(folder, dataset)


def test_copies_that_go_into_slices_of_several_workers_are_extracted_once(photos, network, tmp_path, rows):
    home = photos.folder / "images"
    for name in ("train/12.png", "test/1.png"):
        (home / name).write_bytes((home / "train/1.png").read_bytes())
    sets, dataset = {"set": (RECIPE, tmp_path / "store")}, read_dataset(photos.folder)
    for part in (3, 1, 2):
        extract.extract(sets, dataset, part=(part, 3))
    assert network.seen == 24 - 2
    extract.extract({"set": (RECIPE, tmp_path / "once")}, dataset)
    assert rows(tmp_path / "store", dataset) == rows(tmp_path / "once", dataset)


def test_workers_of_two_deliveries_at_once_make_no_photo_twice(network, tmp_path, monkeypatch, rows):
    """One worker of the first delivery is late: meanwhile photos have come, and been extracted by the others."""
    monkeypatch.setattr(extract, "_sample", lambda *_: None)
    catalogue, sets = Catalogue(tmp_path / "photos", 1), {"set": (RECIPE, tmp_path / "store")}
    first = catalogue.write()
    extract.extract(sets, first, part=(1, 3))
    catalogue.add("train", 8)
    second = catalogue.write()
    extract.extract(sets, second, part=(3, 3))
    extract.extract(sets, first, part=(2, 3))
    for part in (2, 1):
        extract.extract(sets, second, part=(part, 3))
    assert network.seen == len(catalogue.contents)
    extract.extract({"set": (RECIPE, tmp_path / "once")}, second)
    assert rows(tmp_path / "store", second) == rows(tmp_path / "once", second)
    assert {path.parent.name for path in (tmp_path / "store").glob("*/[0-9]*.h5")} == {"0001", "0002"}


def test_workers_at_the_same_time_make_no_photo_twice(network, tmp_path, monkeypatch, rows):
    """Three workers begin when they like, twice over: on a store that is empty, and on one that has grown."""
    monkeypatch.setattr(extract, "_sample", lambda *_: None)
    catalogue, sets = Catalogue(tmp_path / "photos", 2), {"set": (RECIPE, tmp_path / "store")}
    generator = np.random.default_rng(0)
    for _ in range(2):
        catalogue.add("train", 12)
        catalogue.write()

        def work(part, wait):
            time.sleep(wait)
            extract.extract(sets, read_dataset(tmp_path / "photos"), part=(part, 3))

        with concurrent.futures.ThreadPoolExecutor(3) as workers:
            list(workers.map(work, (1, 2, 3), generator.uniform(0, 0.3, 3)))
        made = [store.read(path).digests for path in (tmp_path / "store").glob("*/[0-9]*.h5")]
        assert sum(map(len, made)) == len(np.unique(np.concatenate(made))) == len(catalogue.contents)
    dataset = read_dataset(tmp_path / "photos")
    extract.extract(sets, dataset)
    extract.extract({"set": (RECIPE, tmp_path / "once")}, dataset)
    assert rows(tmp_path / "store", dataset) == rows(tmp_path / "once", dataset)
