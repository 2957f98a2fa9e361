"""A store of the earlier layout, a folder of shards for each split, goes on being used where it lies."""

import json
import os

import h5py
import numpy as np
import pytest

from mlob.data import images, places
from mlob.data.dataset import read_dataset
from mlob.features import extract, plan, store, table
from mlob.files import digest
from mlob.recipes import FeatureSet

RECIPE = FeatureSet("mobilenet", weights="random")


def file_of(photos, split, name):
    return photos.folder / "images" / split / f"{name}.png"


def run(photos, folder):
    extract.extract({"set": (RECIPE, folder)}, photos)


@pytest.fixture
def as_before(photos, network, tmp_path, spoil, rows):
    """A store of photos some of which are broken, as it was written before deliveries; and its rows."""
    spoil(photos)
    dataset = read_dataset(photos.folder)
    run(dataset, tmp_path / "now")
    expected, fingerprint = rows(tmp_path / "now", dataset), store.fingerprint(tmp_path / "now")
    for split, (features, failures) in expected.items():
        digests = table.locate(tmp_path / "now", dataset[split]).digests
        versions = dict(zip(dataset[split].ids, dataset.versions[split], strict=True))
        for number, ids in enumerate(store.slices(dataset[split].ids)):
            kept = [name for name in ids if name in features]
            rows_of = [np.frombuffer(features[name], np.float16) for name in kept]
            contents = digests[store.SLICE * number :][: len(ids)]
            shard = store.Shard(
                tuple(kept),
                np.array(rows_of, np.float16).reshape(len(kept), -1),
                contents[contents != 0],
                {name: failures[name] for name in ids if name in failures},
            )
            path = store.shard_path(tmp_path / "store" / split, number)
            store.write(path, shard, fingerprint)
            noted = {name: versions[name] for name in ids if versions[name] != places.NOWHERE}
            note = {"shard": store.checksum(path), "photos": noted}
            path.with_name(f"photos-{path.stem}.json").write_text(json.dumps(note))
        with h5py.File(tmp_path / "store" / f"{split}.h5", "w") as file:  # a virtual data set over the shards
            file["ids"], file["digests"] = [*features], np.zeros(len(features), np.uint64)
    store.declare(tmp_path / "store", fingerprint)
    (tmp_path / "store" / "folder.txt").write_text(str(photos.folder))
    network.seen = 0
    return tmp_path / "store", expected


def test_it_is_complete_and_no_photo_is_read(photos, as_before, network, monkeypatch, capsys, shards, rows):
    folder, expected = as_before
    before = shards(folder)
    monkeypatch.setattr(images, "content", lambda *_: pytest.fail("read"))
    dataset = read_dataset(photos.folder)
    assert plan.plan({"set": (RECIPE, folder)}, dataset)["set"].summary(RECIPE) == "complete"
    run(dataset, folder)
    assert network.seen == 0 and shards(folder) == before and rows(folder, dataset) == expected
    assert "2 of 12 train photos have no features" in capsys.readouterr().err
    run(read_dataset(photos.folder), folder)
    assert "Photos:" not in capsys.readouterr().err


def test_its_rows_are_read_before_features_are_asked_for_again(photos, as_before, rows):
    folder, expected = as_before
    assert rows(folder, photos) == expected


def test_it_grows_by_what_is_new_alone(photos, as_before, network, shards):
    folder, _ = as_before
    before = shards(folder)
    file_of(photos, "train", "9").write_bytes(file_of(photos, "train", "8").read_bytes())
    pixels = file_of(photos, "train", "7").read_bytes()
    file_of(photos, "train", "7").write_bytes(pixels + b"more")
    dataset = read_dataset(photos.folder)
    run(dataset, folder)
    after = shards(folder)
    assert network.seen == 1 and after.keys() - before.keys() == {"0001/00000.h5"} and before.items() <= after.items()
    located = table.locate(folder, dataset["train"])
    assert not located.missing and located.places[7].tolist() == located.places[8].tolist()


def test_touched_photos_are_known_by_their_content(photos, as_before, network, rows):
    folder, expected = as_before
    for split in photos.splits:
        for path in (photos.folder / "images" / split).iterdir():
            os.utime(path, (1, 1))
    dataset = read_dataset(photos.folder)
    run(dataset, folder)
    assert network.seen == 0 and rows(folder, dataset) == expected


@pytest.mark.parametrize("spoilt", ["", "[]", "5", '{"shard": 1}', '{"shard": "x", "photos": 7}', "\udc80"])
def test_a_note_that_is_damaged_or_of_another_shard_counts_as_none(spoilt, photos, as_before, network, capsys, rows):
    folder, expected = as_before
    (folder / "validation" / "photos-00001.json").write_bytes(spoilt.encode("utf-8", "surrogateescape"))
    dataset = read_dataset(photos.folder)
    run(dataset, folder)
    assert "compared by content: 3/3 photos" in capsys.readouterr().err
    assert network.seen == 0 and rows(folder, dataset) == expected


def test_photos_that_are_gone_keep_their_features(photos, as_before, rows):
    folder, expected = as_before
    for name in ("1", "3"):
        file_of(photos, "train", name).unlink()
    dataset = read_dataset(photos.folder)
    for _ in range(2):
        run(dataset, folder)
        assert rows(folder, dataset) == expected


def test_without_notes_a_photo_that_is_gone_takes_nothing_of_another_with_its_id(photos, as_before, rows):
    folder, expected = as_before
    for path in folder.glob("train/photos-*.json"):
        path.unlink()
    file_of(photos, "train", "3").unlink()
    dataset = read_dataset(photos.folder)
    run(dataset, folder)
    features, failures = rows(folder, dataset)["train"]
    assert expected["train"][0].keys() - features.keys() == {"3"} and failures["3"] == "no file"


def test_runs_that_were_made_on_it_stay_valid_until_its_rows_are_others(photos, as_before):
    folder, _ = as_before
    dataset = read_dataset(photos.folder)
    paths = sorted(folder.glob("*/[0-9]*.h5"))
    as_it_was = digest(*(f"{path.parent.name}/{path.name} {store.checksum(path)}" for path in paths))
    assert table.content_digest(folder, dataset) == as_it_was
    run(dataset, folder)
    assert table.content_digest(folder, dataset) == as_it_was
    file_of(photos, "train", "9").write_bytes(file_of(photos, "train", "8").read_bytes() + b" ")
    run(read_dataset(photos.folder), folder)
    assert table.content_digest(folder, dataset) != as_it_was
