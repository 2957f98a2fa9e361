import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from mlob.data import images
from mlob.data.dataset import read_dataset
from mlob.errors import InputError, Unreadable
from mlob.features import decoding, extract, table
from mlob.features.changes import Changes
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
def as_if_made_now(rows, tmp_path):
    """Say whether a store has the rows of one that is made now: as_if_made_now(photos, folder)."""

    def is_equal(photos, folder):
        now = read_dataset(photos.folder)
        run(now, tmp_path / "fresh")
        return rows(folder, now) == rows(tmp_path / "fresh", now)

    return is_equal


def refuse_to_decode(monkeypatch):
    monkeypatch.setattr(images, "decode_inset", lambda *_: pytest.fail("decoded"))


def test_a_rerun_reads_no_photo_and_writes_nothing(photos, extracted, monkeypatch, capsys):
    before = {path: path.stat().st_mtime_ns for path in extracted.rglob("*")}
    monkeypatch.setattr(images, "content", lambda *_: pytest.fail("read"))
    assert again(photos, extracted, capsys) == ""
    assert {path: path.stat().st_mtime_ns for path in extracted.rglob("*")} == before


def test_photos_that_were_replaced_are_made_anew_in_a_new_shard_and_no_other_is_touched(
    photos, extracted, network, capsys, as_if_made_now, shards
):
    before = shards(extracted)
    for split, name in (("train", "2"), ("train", "3"), ("test", "4")):
        repaint(file_of(photos, split, name), 90 + int(name))
    assert "set: Photos: 3 changed." in again(photos, extracted, capsys)
    after = shards(extracted)
    assert after.keys() - before.keys() == {"0002/00000.h5", "0002/00001.h5"} and before.items() <= after.items()
    assert network.seen == 3 and as_if_made_now(photos, extracted)
    assert again(photos, extracted, capsys) == ""


def test_photos_of_another_time_and_the_same_content_cost_no_decoding(photos, extracted, monkeypatch, capsys, shards):
    refuse_to_decode(monkeypatch)
    before = shards(extracted)
    for split in photos.splits:
        for name in photos[split].ids:
            os.utime(file_of(photos, split, name), (1, 1))
    assert "24 of another path or time and the same content" in again(photos, extracted, capsys)
    assert shards(extracted) == before
    assert again(photos, extracted, capsys) == ""


def rewrite(photos, split, change):
    """Let annotations list other ids: change(ids) gives {id now: id before}."""
    path = photos.folder / f"{split}.json"
    content = json.loads(path.read_text())
    known = {image["imageId"]: image for image in content["images"]}
    labels = {one["imageId"]: one for one in content.get("annotations", [])}
    renamed = change([*known])
    content["images"] = [{**known[before], "imageId": name} for name, before in renamed.items()]
    if labels:
        content["annotations"] = [{**labels[before], "imageId": name} for name, before in renamed.items()]
    path.write_text(json.dumps(content))


def test_what_has_become_of_photos_is_told_in_counts_and_only_new_bytes_are_extracted(
    photos, extracted, network, capsys, as_if_made_now
):
    home = photos.folder / "images" / "train"
    rewrite(photos, "train", lambda ids: {**{name: name for name in ids[1:-1]}, "20": "3", "21": "4", "22": "5"})
    repaint(home / "20.png", 20)
    repaint(home / "21.png", 21)
    (home / "22.png").write_bytes((home / "5.png").read_bytes())
    repaint(home / "6.png", 6)
    os.utime(home / "7.png", (1, 1))
    (home / "8.png").rename(home / "8.jpg")
    told = again(photos, extracted, capsys)
    assert (
        "set: Photos: 2 are new, 1 changed, 1 renamed, moved or copied (known by its content), 2 of another path or "
        "time and the same content, 2 gone (their features stay)." in told
    )
    assert network.seen == 3 and as_if_made_now(photos, extracted)
    assert again(photos, extracted, capsys) == ""


def test_a_photo_that_moves_to_another_split_is_known(photos, extracted, network, capsys, as_if_made_now):
    rewrite(photos, "train", lambda ids: {name: name for name in ids[:-1]})
    rewrite(photos, "validation", lambda ids: {**{name: name for name in ids}, "12": ids[0]})
    home = photos.folder / "images"
    (home / "train/12.png").rename(home / "validation/12.png")
    assert "Photos: 1 renamed, moved or copied (known by its content)." in again(photos, extracted, capsys)
    assert network.seen == 0 and as_if_made_now(photos, extracted)


def test_every_count_has_its_words():
    counts = {field.name: number for number, field in enumerate(dataclasses.fields(Changes), 2)}
    told = " ".join(Changes(**counts).summary())
    assert all(f"{number:,} " in told for number in counts.values())
    for name in counts:
        one = " ".join(Changes(**{name: 1}).summary())
        assert "1 " in one and "are" not in one.split() and "have" not in one.split()
    assert Changes().summary() == []


REASONS = ("train", "2"), ("train", "5"), ("validation", "1"), ("test", "3")


@pytest.mark.parametrize("split, name", REASONS)
def test_a_photo_that_failed_for_any_reason_is_tried_again_when_its_file_has_changed(
    split, name, photos, network, tmp_path, capsys, spoil, as_if_made_now
):
    spoil(photos)
    run(photos, tmp_path / "store")
    assert name in table.locate(tmp_path / "store", photos[split]).failures
    network.seen = 0
    repaint(file_of(photos, split, name), 60)
    told = again(photos, tmp_path / "store", capsys)
    assert ("Photos: 1 could not be read before." in told or "Photos: 1 changed." in told) and network.seen == 1
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
        told = again(photos, tmp_path / "store", capsys)
        assert "1 of 12 train photos have no features: not read: Input/output error 1" in told and network.seen == 0
    assert "Photos: 1 could not be read before." in again(photos, tmp_path / "store", capsys)
    assert as_if_made_now(photos, tmp_path / "store")


def test_photos_that_are_gone_keep_their_features_and_are_told_each_time(photos, extracted, capsys, shards):
    before = shards(extracted)
    for name in ("1", "2", "3", "7"):
        file_of(photos, "train", name).unlink()
    for _ in range(2):
        assert "4 photos have no file any more: the features stay." in again(photos, extracted, capsys)
    assert len(table.read_photos(extracted, photos)["train"].ids) == 12
    assert shards(extracted) == before


def forget(folder, *splits):
    """Remove what a store noted of its photos."""
    for path in (*folder.glob("*/seen-*.npz"), *(table.index_path(folder, split) for split in splits)):
        path.unlink()


def test_a_store_without_notes_is_compared_by_content_once(photos, extracted, monkeypatch, capsys, shards):
    forget(extracted, *photos.splits)
    refuse_to_decode(monkeypatch)
    before = shards(extracted)
    assert "compared by content: 24/24 photos" in again(photos, extracted, capsys)
    assert shards(extracted) == before and again(photos, extracted, capsys) == ""


def test_another_folder_with_equal_ids_takes_nothing_of_a_store(photos, extracted, tmp_path, capsys, as_if_made_now):
    forget(extracted, *photos.splits)
    (extracted / "folder.txt").unlink()
    other = tmp_path / "b" / "photos"
    shutil.copytree(photos.folder, other)
    for path in other.glob("images/*/*.png"):
        repaint(path, 30 + 5 * len(path.parent.name) + int(path.stem))
    for name in ("10", "11", "12"):
        (other / "images" / "train" / f"{name}.png").unlink()
    told = again(read_dataset(other), extracted, capsys)
    assert "21 photos through" in told and "3 of 12 train photos have no features: no file 3" in told
    assert as_if_made_now(read_dataset(other), extracted)


@pytest.mark.parametrize("note", [b"", b"[]", b"PK\3\4", b"\xff" * 99])
def test_a_note_that_is_damaged_counts_as_none(note, photos, extracted, monkeypatch, capsys):
    for split in photos.splits:
        table.index_path(extracted, split).unlink()
    (extracted / "0001" / "seen-00000.npz").write_bytes(note)
    refuse_to_decode(monkeypatch)
    assert "compared by content: 3/3 photos" in again(photos, extracted, capsys)
    assert again(photos, extracted, capsys) == ""


def test_the_notes_beside_the_shards_are_enough(photos, extracted, monkeypatch, capsys):
    for split in photos.splits:
        table.index_path(extracted, split).unlink()
    monkeypatch.setattr(images, "content", lambda *_: pytest.fail("read"))
    assert again(photos, extracted, capsys) == ""


def test_a_dry_run_tells_what_has_changed_and_writes_nothing(photos, extracted):
    repaint(file_of(photos, "train", "2"), 90)
    os.utime(file_of(photos, "train", "9"), (1, 1))
    before = {path: path.stat().st_mtime_ns for path in extracted.rglob("*")}
    told = extract.plan({"set": (RECIPE, extracted)}, read_dataset(photos.folder))["set"].summary(RECIPE)
    assert told.startswith("Photos: 1 changed, 1 of another path or time and the same content. 1 photo through mob")
    assert {path: path.stat().st_mtime_ns for path in extracted.rglob("*")} == before


def test_a_store_that_may_only_be_read_is_used_as_it_is(photos, extracted, monkeypatch, capsys):
    os.utime(file_of(photos, "train", "2"), (1, 1))

    def write(folder, *_):
        raise InputError(f"{folder} cannot be written (Read-only file system): give write permission.")

    monkeypatch.setattr(table, "write_index", write)
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
    assert "Photos: 1 changed." in again(photos, tmp_path / "store", capsys)
    assert as_if_made_now(photos, tmp_path / "store")


def test_what_a_store_holds_is_told_by_one_digest(photos, extracted, capsys):
    first = table.content_digest(extracted, photos)
    again(photos, extracted, capsys)
    assert table.content_digest(extracted, photos) == first
    repaint(file_of(photos, "test", "4"), 90)
    again(photos, extracted, capsys)
    assert table.content_digest(extracted, photos) != first


def test_a_photo_that_lacked_a_package_is_tried_again_once_that_is_there(photos, network, tmp_path, monkeypatch):
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    file_of(photos, "train", "2").write_bytes(heic)
    monkeypatch.setattr(images, "FORMATS", ("JPEG", "PNG"))
    run(photos, tmp_path / "store")
    assert "pip install" in table.locate(tmp_path / "store", photos["train"]).failures["2"]
    network.seen = 0
    run(read_dataset(photos.folder), tmp_path / "store")
    assert network.seen == 0 and not (tmp_path / "store" / "0002").exists()
    decode = images.decode_inset
    monkeypatch.setattr(images, "decode_inset", lambda data, size: decode(photo if data == heic else data, size))
    photo = file_of(photos, "train", "3").read_bytes()
    run(read_dataset(photos.folder), tmp_path / "store")
    assert "2" not in table.locate(tmp_path / "store", photos["train"]).failures and network.seen == 1


def test_a_photo_that_lacked_a_package_and_is_broken_is_tried_once_more(photos, network, tmp_path, monkeypatch):
    heic, decode = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", images.decode_inset
    file_of(photos, "train", "2").write_bytes(heic)
    monkeypatch.setattr(images, "FORMATS", ("JPEG", "PNG"))
    run(photos, tmp_path / "store")

    def broken(data, size):
        if data == heic:
            raise Unreadable("not decoded: cut short")
        return decode(data, size)

    monkeypatch.setattr(images, "decode_inset", broken)
    for _ in range(2):
        run(read_dataset(photos.folder), tmp_path / "store")
        assert table.locate(tmp_path / "store", photos["train"]).failures["2"] == "not decoded: cut short"
        assert sorted(path.name for path in (tmp_path / "store").glob("[0-9]*/")) == ["0001", "0002"]
