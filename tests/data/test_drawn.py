"""Splits are drawn by the bytes of photos; digests are kept."""

import os

import pytest
from layouts import split_of_each, write, write_photos

from mlob.data import images, preflight
from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.recipes import Annotations

SPLITS = ("train", "validation", "test")


def drawn(folder, contents, *, labels="x", digests=None):
    """Write photos and a table of them without a split column, and give {image: split}."""
    write_photos(folder / "images", contents)
    write(folder / "photos.csv", "image,labels\n" + "".join(f"{name},{labels}\n" for name in contents))
    return split_of_each(read_dataset(folder, digests=digests))


def numbered(count):
    return {f"{number}.jpg": str(number) for number in range(count)}


def test_drawn_splits_hold_every_photo_once_and_leave_none_of_the_three_empty(tmp_path):
    splits = drawn(tmp_path, numbered(100))
    assert len(splits) == 100
    assert set(splits.values()) == set(SPLITS)


def test_equal_photos_stay_together(tmp_path):
    copies = {f"{number}-{copy}.jpg": str(number) for number in range(30) for copy in "ab"}
    splits = drawn(tmp_path, copies)
    assert len(set(splits.values())) > 1
    assert all(splits[f"{number}-a.jpg"] == splits[f"{number}-b.jpg"] for number in range(30))


def test_the_order_names_and_number_of_other_photos_move_no_photo(tmp_path):
    contents = numbered(30)
    before = drawn(tmp_path / "before", contents)
    others = dict(reversed([(f"new-{name}" if int(text) % 3 else name, text) for name, text in contents.items()]))
    after = drawn(tmp_path / "after", {"more.jpg": "more"} | others)
    stayed = [name for name in contents if name in after]
    assert len(stayed) == 10
    assert [after[name] for name in stayed] == [before[name] for name in stayed]
    assert all(after[f"new-{name}"] == split for name, split in before.items() if name not in stayed)


def test_photos_without_labels_are_there_to_be_predicted(tmp_path):
    assert set(drawn(tmp_path, numbered(20), labels=" | ").values()) == {"test"}


def test_a_rare_label_that_the_draw_leaves_out_of_train_is_moved_there_and_told(tmp_path):
    splits = drawn(tmp_path / "before", numbered(40))
    rare = [name for name, split in splits.items() if split != "train"][:2]
    write_photos(tmp_path / "after/images", numbered(40))
    rows = [f"{name},{'x|rare' if name in rare else 'x'}\n" for name in splits]
    write(tmp_path / "after/photos.csv", "image,labels\n" + "".join(rows))
    data = read_dataset(tmp_path / "after")
    moved = [name for name, split in split_of_each(data).items() if split != splits[name]]
    assert len(moved) == 1 and moved[0] in rare and split_of_each(data)[moved[0]] == "train"
    assert "Moved to train, which would lack a rare label: 1 photo." in data.told


def test_a_suite_may_split_by_the_parity_of_a_column(tmp_path):
    write_photos(tmp_path / "images", numbered(60))
    years = ["2010", "2011", "", "2012.0", "2012", "2014"]
    rows = [f"{number}.jpg,x,{years[number % 6]}\n" for number in range(60)]
    write(tmp_path / "photos.csv", "image,labels,Year\n" + "".join(rows))
    data = read_dataset(tmp_path, asked=Annotations(even="year"))
    found = split_of_each(data)
    assert {number for number in range(60) if found[f"{number}.jpg"] == "test"} == {
        number for number in range(60) if number % 6 in (1, 2)
    }
    assert set(found.values()) == set(SPLITS) and data.labels.names == ("x",)


def test_where_a_table_has_photos_to_predict_they_alone_are_test_and_validation_stays_as_it_was(tmp_path):
    before = drawn(tmp_path / "before", numbered(60))
    write_photos(tmp_path / "after/images", numbered(70))
    rows = [f"{number}.jpg,{'x' if number < 60 else ''}\n" for number in range(70)]
    write(tmp_path / "after/photos.csv", "image,labels\n" + "".join(rows))
    after = split_of_each(read_dataset(tmp_path / "after"))
    assert {name for name, split in after.items() if split == "test"} == {f"{number}.jpg" for number in range(60, 70)}
    kept = {"train": "train", "validation": "validation", "test": "train"}
    assert {name: after[name] for name in before} == {name: kept[split] for name, split in before.items()}


def test_a_split_that_a_drawn_table_lacks_is_refused_with_what_helps_there(tmp_path):
    drawn(tmp_path, dict.fromkeys(numbered(6), "one photo"))
    with pytest.raises(InputError, match=r"without a column split, more photos, or that column\."):
        preflight.check(read_dataset(tmp_path))


def test_photos_that_cannot_be_read_are_drawn_by_name(tmp_path):
    write(tmp_path / "photos.csv", "image,labels\n" + "".join(f"{number}.jpg,x\n" for number in range(60)))
    assert set(split_of_each(read_dataset(tmp_path)).values()) == set(SPLITS)


def count_digested(monkeypatch):
    counted, digest = [], images.content_digest
    monkeypatch.setattr(images, "content_digest", lambda data: counted.append(data) or digest(data))
    return counted


def test_digests_are_kept_and_an_altered_photo_alone_is_digested_anew(tmp_path, monkeypatch):
    kept, counted = tmp_path / "kept" / "digests.csv", count_digested(monkeypatch)
    first = drawn(tmp_path, numbered(20), digests=kept)
    assert len(counted) == 20
    assert split_of_each(read_dataset(tmp_path, digests=kept)) == first
    assert len(counted) == 20
    write(tmp_path / "images/3.jpg", "altered")
    fresh = split_of_each(read_dataset(tmp_path))
    counted.clear()
    assert split_of_each(read_dataset(tmp_path, digests=kept)) == fresh
    assert counted == [b"altered"]
    assert split_of_each(read_dataset(tmp_path, digests=kept)) == fresh
    assert counted == [b"altered"]


@pytest.mark.parametrize(("content", "time"), [(b"b", 2), (b"longer", 1)])
def test_a_photo_of_another_time_or_length_is_digested_anew(tmp_path, monkeypatch, content, time):
    kept, counted, path = tmp_path / "digests.csv", count_digested(monkeypatch), tmp_path / "images/1.jpg"
    for one, at in ((b"a", 1), (content, time)):
        write_photos(tmp_path, {"images/1.jpg": one, "photos.csv": "image,labels\n1.jpg,x\n"})
        os.utime(path, ns=(at, at))
        read_dataset(tmp_path, digests=kept)
    assert counted == [b"a", content]


def test_a_photo_that_comes_later_is_digested(tmp_path, monkeypatch):
    kept, counted = tmp_path / "digests.csv", count_digested(monkeypatch)
    write(tmp_path / "photos.csv", "image,labels\n1.jpg,x\n")
    read_dataset(tmp_path, digests=kept)
    drawn(tmp_path, {"1.jpg": "a"}, digests=kept)
    assert counted == [b"a"]


def test_photos_of_a_product_stay_together_with_what_is_equal_to_one_of_them(tmp_path):
    """Photo 9-b is equal to 8-a, so that these two products are one."""
    contents = {f"{number}-{photo}.jpg": f"{number}-{photo}" for number in range(30) for photo in "abc"}
    contents |= {"9-b.jpg": "8-a", "alone.jpg": "8-c"}
    write_photos(tmp_path / "images", contents)
    rows = [f"{name},x,{'' if name == 'alone.jpg' else name.split('-')[0]}\n" for name in contents]
    write(tmp_path / "photos.csv", "image,labels,product\n" + "".join(rows))
    splits = split_of_each(read_dataset(tmp_path))
    assert set(splits.values()) == set(SPLITS)
    for number in range(30):
        assert len({splits[f"{number}-{photo}.jpg"] for photo in "abc"}) == 1
    assert splits["8-a.jpg"] == splits["9-a.jpg"] == splits["alone.jpg"]
