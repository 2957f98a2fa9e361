import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from mlob.data import images
from mlob.data.dataset import read_dataset
from mlob.errors import Unreadable
from mlob.features import changes, decoding, extract, store
from mlob.recipes import FeatureSet

RECIPE = FeatureSet("mobilenet", weights="random")


def run(photos, folder):
    extract.extract({"set": (RECIPE, folder)}, photos)


def file_of(photos, split, name):
    return photos.folder / "images" / split / f"{name}.png"


@pytest.fixture
def extracted(photos, network, tmp_path):
    """A folder of photos whose features are there."""
    run(photos, tmp_path / "store")
    network.seen = 0
    return tmp_path / "store"


def again(photos, folder, capsys):
    """Run the same command again, which looks at the photos anew; give what it tells."""
    capsys.readouterr()
    run(read_dataset(photos.folder), folder)
    return capsys.readouterr().err


def repaint(path, level):
    """Put another photo in the place of one."""
    pixels = np.full((24, 32, 3), level, np.uint8)
    pixels[::2] = 255 - level
    Image.fromarray(pixels).save(path)


@pytest.fixture
def as_if_made_now(shards, tmp_path):
    """Say whether a store has the bytes of one that is made now: as_if_made_now(photos, folder)."""

    def is_equal(photos, folder):
        run(read_dataset(photos.folder), tmp_path / "fresh")
        return shards(folder) == shards(tmp_path / "fresh")

    return is_equal


def refuse_to_decode(monkeypatch):
    monkeypatch.setattr(images, "decode", lambda *_: pytest.fail("decoded"))


def test_a_rerun_reads_no_photo_and_writes_nothing(photos, extracted, monkeypatch, capsys):
    before = {path: path.stat().st_mtime_ns for path in extracted.rglob("*")}
    monkeypatch.setattr(images, "content", lambda *_: pytest.fail("read"))
    assert again(photos, extracted, capsys) == ""
    assert {path: path.stat().st_mtime_ns for path in extracted.rglob("*")} == before


def test_a_photo_that_was_replaced_has_its_own_shard_made_anew_and_no_other(
    photos, extracted, network, capsys, as_if_made_now
):
    before = {path: path.stat().st_mtime_ns for path in extracted.glob("*/*.h5")}
    for split, name in (("train", "2"), ("train", "3"), ("test", "4")):
        repaint(file_of(photos, split, name), 90)
    told = again(photos, extracted, capsys)
    assert "set: 3 photos have come or changed since the features were made (2 of train, 1 of test): 2 shards" in told
    changed = {path for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {extracted / "train" / "00000.h5", extracted / "test" / "00001.h5"}
    assert network.seen == 3 + 2 and as_if_made_now(photos, extracted)
    assert again(photos, extracted, capsys) == ""


def test_photos_of_another_time_and_the_same_content_cost_no_decoding(photos, extracted, monkeypatch, capsys, shards):
    refuse_to_decode(monkeypatch)
    before = shards(extracted)
    for split in photos.splits:
        for name in photos[split].ids:
            os.utime(file_of(photos, split, name), (1, 1))
    assert "24 photos have another size or time than noted" in again(photos, extracted, capsys)
    assert shards(extracted) == before
    assert again(photos, extracted, capsys) == ""


REASONS = ("train", "2"), ("train", "5"), ("validation", "1"), ("test", "3")


@pytest.mark.parametrize("split, name", REASONS)
def test_a_photo_that_failed_for_any_reason_is_tried_again_when_its_file_has_changed(
    split, name, photos, network, tmp_path, capsys, spoil, as_if_made_now
):
    spoil(photos)
    run(photos, tmp_path / "store")
    assert name in store.header(store.shard_path(tmp_path / "store" / split, (int(name) - 1) // 3)).failures
    repaint(file_of(photos, split, name), 60)
    assert f"1 photo has come or changed since the features were made (1 of {split}): 1 shard to" in again(
        photos, tmp_path / "store", capsys
    )
    assert as_if_made_now(photos, tmp_path / "store")


def test_a_photo_that_is_still_broken_is_not_extracted_again(photos, network, tmp_path, capsys, spoil):
    spoil(photos)
    run(photos, tmp_path / "store")
    network.seen = 0
    os.utime(file_of(photos, "train", "2"), (1, 1))
    again(photos, tmp_path / "store", capsys)
    assert network.seen == 0 and "compared by content" not in again(photos, tmp_path / "store", capsys)


def test_a_photo_that_could_not_be_read_is_tried_again_each_time(
    photos, network, tmp_path, monkeypatch, capsys, as_if_made_now
):
    wanted, content = file_of(photos, "train", "4"), images.content

    def failing(place):
        if place == wanted:
            raise Unreadable("not read: Input/output error")
        return content(place)

    with monkeypatch.context() as patched:
        patched.setattr(images, "content", failing)
        run(photos, tmp_path / "store")
        network.seen = 0
        assert again(
            photos, tmp_path / "store", capsys
        ) == "set: compared by content: 1/1 photos, 1,000.0 photos/s" or (network.seen == 0)
    assert "1 photo has come or changed" in again(photos, tmp_path / "store", capsys)
    assert as_if_made_now(photos, tmp_path / "store")


def test_photos_that_are_gone_keep_their_features_and_are_told_each_time(photos, extracted, capsys, shards):
    before = shards(extracted)
    for name in ("1", "2", "3", "7"):
        file_of(photos, "train", name).unlink()
    for _ in range(2):
        assert "4 photos have no file any more (4 of train): the features are kept" in again(photos, extracted, capsys)
    assert shards(extracted) == before


def test_a_store_without_notes_is_compared_by_content_once(photos, extracted, monkeypatch, capsys, shards):
    for path in extracted.glob("*/photos-*.json"):
        path.unlink()
    refuse_to_decode(monkeypatch)
    before = shards(extracted)
    assert (
        "24 photos have another size or time than noted, or none was noted (12 of train, 7 of validation, 5 of test)"
        in again(photos, extracted, capsys)
    )
    assert shards(extracted) == before and again(photos, extracted, capsys) == ""


def test_another_folder_with_equal_ids_takes_nothing_of_a_store_without_notes(
    photos, extracted, tmp_path, capsys, as_if_made_now
):
    for path in (*extracted.glob("*/photos-*.json"), extracted / "folder.txt"):
        path.unlink()
    other = tmp_path / "b" / "photos"
    shutil.copytree(photos.folder, other)
    for path in other.glob("images/*/*.png"):
        repaint(path, 30 + int(path.stem))
    for name in ("10", "11", "12"):
        (other / "images" / "train" / f"{name}.png").unlink()
    told = again(read_dataset(other), extracted, capsys)
    assert "24 photos have come or changed since" in told
    assert as_if_made_now(read_dataset(other), extracted)


@pytest.mark.parametrize("note", ["", "[]", "5", '{"shard": 1}', '{"shard": "x", "photos": 7}', "\udc80"])
def test_a_note_that_is_damaged_counts_as_none(note, photos, extracted, capsys):
    path = extracted / "train" / "photos-00000.json"
    path.write_bytes(note.encode("utf-8", "surrogateescape"))
    assert "3 photos have another size or time than noted" in again(photos, extracted, capsys)
    assert set(json.loads(path.read_text())["photos"]) == {"1", "2", "3"}


def test_a_note_is_of_the_shard_that_it_was_written_for(photos, extracted, network, capsys, as_if_made_now):
    """Of a shard that was copied in from elsewhere the note says nothing."""
    kept = (extracted / "train" / "00000.h5").read_bytes()
    repaint(file_of(photos, "train", "2"), 90)
    again(photos, extracted, capsys)
    (extracted / "train" / "00000.h5").write_bytes(kept)
    assert "1 photo has come or changed" in again(photos, extracted, capsys)
    assert as_if_made_now(photos, extracted)


def test_a_dry_run_tells_what_has_changed_and_writes_nothing(photos, extracted):
    repaint(file_of(photos, "train", "2"), 90)
    os.utime(file_of(photos, "train", "9"), (1, 1))
    before = {path: path.stat().st_mtime_ns for path in extracted.rglob("*")}
    told = extract.plan("set", RECIPE, read_dataset(photos.folder), extracted).summary(RECIPE)
    assert told.startswith("1 photo has come or changed") and "3 photos through mobilenet" in told
    assert {path: path.stat().st_mtime_ns for path in extracted.rglob("*")} == before


def test_a_store_that_may_only_be_read_is_used_as_it_is(photos, extracted, monkeypatch, capsys):
    os.utime(file_of(photos, "train", "2"), (1, 1))

    def write_note(path, note):
        raise changes.InputError(f"{path} cannot be written (Read-only file system): give write permission.")

    monkeypatch.setattr(changes, "write_note", write_note)
    assert "compared by content each time" in again(photos, extracted, capsys)


def test_a_photo_that_changes_while_it_is_read_is_noticed_next_time(
    photos, network, tmp_path, monkeypatch, capsys, as_if_made_now
):
    wanted, decode = file_of(photos, "train", "4"), decoding.photo

    def late(place, size, views):
        found = decode(place, size, views)
        if place == wanted:
            repaint(place, 120)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(extract, "_sample", lambda *_: None)
        patched.setattr(decoding, "photo", late)
        run(photos, tmp_path / "store")
    assert "1 photo has come or changed" in again(photos, tmp_path / "store", capsys)
    assert as_if_made_now(photos, tmp_path / "store")


def test_what_a_store_holds_is_told_by_one_digest(photos, extracted, capsys):
    first = store.content_digest(extracted)
    again(photos, extracted, capsys)
    assert store.content_digest(extracted) == first
    repaint(file_of(photos, "test", "4"), 90)
    again(photos, extracted, capsys)
    assert store.content_digest(extracted) != first


def test_a_photo_that_lacked_a_package_is_tried_again_once_that_is_there(photos, network, tmp_path, monkeypatch):
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    file_of(photos, "train", "2").write_bytes(heic)
    monkeypatch.setattr(images, "FORMATS", ("JPEG", "PNG"))
    run(photos, tmp_path / "store")
    failures = store.header(next((tmp_path / "store" / "train").glob("00000.h5"))).failures
    assert "pip install" in failures["2"]
    decode = images.decode
    monkeypatch.setattr(images, "decode", lambda data, size: decode(photo if data == heic else data, size))
    photo = file_of(photos, "train", "3").read_bytes()
    run(read_dataset(photos.folder), tmp_path / "store")
    assert "2" not in store.header(next((tmp_path / "store" / "train").glob("00000.h5"))).failures
