"""photos.csv is read; what cannot be right is refused."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import split_of_each, targets, write, write_photos

from mlob.data import preflight
from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.recipes import Annotations

SPLITS = ("train", "validation", "test")


def test_the_split_column_places_photos_in_the_order_of_the_table(tmp_path):
    write(
        tmp_path / "photos.csv",
        "image,labels,split\nb.jpg,red|dress,train\na.jpg,red,train\nc.jpg,hat,validation\nd.jpg,,test\n",
    )
    data = read_dataset(tmp_path)
    assert data.labels.names == ("dress", "hat", "red")
    assert data.labels.ids == (1, 2, 3) and not data.labels.ids_are_own
    assert data["train"].ids == ("b.jpg", "a.jpg")
    assert targets(data["train"]) == [[1, 0, 1], [0, 0, 1]]
    assert targets(data["validation"]) == [[0, 1, 0]]
    assert data["test"].targets is None


def test_blanks_around_labels_and_repeated_labels_make_no_difference(tmp_path):
    write(tmp_path / "photos.csv", "\ufeffimage,labels,split\na.jpg, red | |dress|red,train\nb.jpg,NA,train")
    data = read_dataset(tmp_path)
    assert data.labels.names == ("NA", "dress", "red")
    assert targets(data["train"]) == [[0, 1, 1], [1, 0, 0]]


def test_photos_lie_relative_to_the_folder_or_to_images(tmp_path):
    write_photos(tmp_path, {"a.jpg": b"a", "images/b.jpg": b"b", "images/sub/c.jpg": b"c", "images/d.JPG": b"d"})
    names = ["a.jpg", "b.jpg", "sub/c.jpg", "images/b.jpg", "d", "missing.jpg"]
    write(tmp_path / "photos.csv", "image,labels,split\n" + "".join(f"{name},x,train\n" for name in names))
    places = ["a.jpg", "images/b.jpg", "images/sub/c.jpg", "images/b.jpg", "images/d.JPG"]
    assert list(read_dataset(tmp_path).photos("train")) == [*(tmp_path / place for place in places), None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"photos\.csv is not a CSV table .* save it as one"),
        (b"\n\n", r"photos\.csv is not a CSV table"),
        (b"image,labels,labels\na.jpg,x,y\n", r"photos\.csv has the column labels 2 times: keep one.* one cell"),
        (b"image,split,labels,split\n1,train,x,test\n", r"photos\.csv has the column split 2 times: keep one"),
        (b"image,labels\ncaf\xe9.jpg,x\n", r"photos\.csv is not a CSV table in UTF-8 .* save it as one"),
        (b"image,labels\na.jpg,red,dress\n", r"photos\.csv is not a CSV table .* value with a comma"),
        (b"image,labels\na.jpg,red\nb.jpg,red,dress\n", r"photos\.csv is not a CSV table .* value with a comma"),
        (b'image,labels\n"a.jpg,red\n', r"photos\.csv is not a CSV table"),
        (b"image,labels\n", r"photos\.csv lists no images: add some"),
        (b"name;labels\na.jpg;x\n", r"photos\.csv has no column of photos: .* found name, labels\. Name it"),
        (b"image\na.jpg\n", r"photos\.csv has no column of labels.* Add a column labels"),
        (b"image,labels\na.jpg,x\na.jpg,y\n", r"photos\.csv: the image 'a\.jpg' is listed twice.* remove one"),
        (b"image,labels\n,x\n", r"photos\.csv: the image id '' is empty"),
        (b"image,labels,split\na.jpg,x,dev\n", r"photos\.csv: the column split holds 'dev'; expected train, "),
        (b"image,labels,split\na.jpg,x,\n", r"photos\.csv: the column split holds ''; expected train"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_right_is_refused(tmp_path, content, message):
    write(tmp_path / "photos.csv", content)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path)


def test_more_labels_than_fit_into_memory_are_refused_before_anything_runs(tmp_path, monkeypatch):
    rows = [f"{row}.jpg,{'|'.join(map(str, range(1000))) if row == 0 else 'x'},train\n" for row in range(6)]
    write(tmp_path / "photos.csv", "image,labels,split\n" + "".join(rows))
    train = read_dataset(tmp_path)["train"]
    assert train.targets.sum() == 1005
    monkeypatch.setattr("mlob.data.dataset.memory_bytes", lambda: 12_000)
    with pytest.raises(InputError, match=r"train split has 6 photos and 1,001 labels.*SET=annotations\.other_below="):
        preflight.check(read_dataset(tmp_path), ["train"])


NAMES = st.text("ab/.|, \"'\né", max_size=4)


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=3), st.sampled_from(SPLITS)), max_size=4))
def test_any_table_reads_or_is_refused(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("data")
    with (folder / "photos.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("image", "labels", "split"), *((name, "|".join(found), split) for name, found, split in rows)]
        )
    try:
        data = read_dataset(folder)
    except InputError as error:
        assert "photos.csv" in str(error)
    else:
        assert split_of_each(data) == {name: split for name, _, split in rows}
        cells = ["|".join(found) for _, found, _ in rows]
        mark = "|" if any("|" in cell for cell in cells) else ","
        wanted = {part.strip() for cell in cells for part in cell.split(mark)} - {""}
        assert set(data.labels.names) == wanted


def test_the_column_of_texts_is_read_and_is_no_label(tmp_path):
    rows = 'a.jpg,"A dress, red",red,train\nb.jpg,,blue,train\nc.jpg, Hat ,red,validation\n'
    write(tmp_path / "photos.csv", f"image,Title,colour,split\n{rows}")
    plain, asked = read_dataset(tmp_path), read_dataset(tmp_path, asked=Annotations(text="title"))
    assert plain["train"].texts is None
    assert asked["train"].texts == ("A dress, red", "") and asked["validation"].texts == ("Hat",)
    assert asked.labels.names == ("blue", "red")
    assert "their texts: Title" in " ".join(asked.told) and asked.digest == plain.digest


def test_texts_stay_with_their_photos_where_splits_are_drawn(tmp_path):
    names = [f"{number}.jpg" for number in range(40)]
    write_photos(tmp_path, {name: name.encode() for name in names})
    write(tmp_path / "photos.csv", "image,title,kind\n" + "".join(f"{name},about {name},x\n" for name in names))
    data = read_dataset(tmp_path, asked=Annotations(text="title"))
    assert len(data.splits) > 1
    for split in data.splits.values():
        assert split.texts == tuple(f"about {name}" for name in split.ids)
