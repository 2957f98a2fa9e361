"""Photos are found by id and by path, each in its split, and below any folder."""

import json
import os
import pickle
import posixpath
import zipfile

import pytest
from layouts import located, on_disk, touch, write

from mlob.data import images, locate
from mlob.data.dataset import read_dataset
from mlob.data.tree import Tree
from mlob.errors import InputError, Unreadable


def zipped(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_the_folder_of_the_split_comes_first_then_images_then_the_url(tmp_path):
    assert located(tmp_path, "1", "else/a.jpg") is None
    touch(tmp_path, "else/a.jpg")
    assert located(tmp_path, "1", "else/a.jpg") == "else/a.jpg"
    touch(tmp_path, "images/1.png")
    assert located(tmp_path, "1", "else/a.jpg") == "images/1.png"
    touch(tmp_path, "images/train/1.jpg")
    assert located(tmp_path, "1", "else/a.jpg") == "images/train/1.jpg"


def test_photos_of_another_split_and_of_longer_names_are_others(tmp_path):
    touch(tmp_path, "images/validation/1.jpg", "images/train/11.jpg", "images/train/1.txt", "images/train/01.jpg")
    assert located(tmp_path, "1") is None
    assert located(tmp_path, "1", split="validation") == "images/validation/1.jpg"


@pytest.mark.parametrize("suffix", [
    ".jpg", ".JPG", ".jpeg", ".jpe", ".JFIF", ".Png", ".webp", ".gif", ".bmp", ".tif", ".TIFF", ".avif", ".jp2",
])  # fmt: skip
def test_suffixes_count_in_either_case(tmp_path, suffix):
    touch(tmp_path, f"images/1{suffix}")
    assert located(tmp_path, "1") == f"images/1{suffix}"


PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.mark.parametrize("content", [PNG, HEIC, b"\xff\xd8\xff\xe0" + bytes(9)])
@pytest.mark.parametrize("name", ["1", "1.image", "1.HEIC"])
def test_of_other_names_the_content_tells_which_file_is_a_photo(tmp_path, name, content):
    zipped(tmp_path / "packed" / "images.zip", {f"train/{name}": content, f"test/{name}": b"text"})
    for folder, found in ((tmp_path, "images/train"), (tmp_path / "packed", "images.zip/train")):
        if folder == tmp_path:
            touch(folder, f"images/train/{name}", f"images/test/{name}")
            (folder / "images/train" / name).write_bytes(content)
        ids = [posixpath.splitext(name)[0]]
        (place,) = locate.photos(Tree(folder), "train", ids, [""])
        assert str(place) == str(folder / found / name)
        assert list(locate.photos(Tree(folder), "test", ids, [""])) == [None]


def test_a_file_whose_suffix_tells_of_a_photo_comes_before_others_of_its_stem(tmp_path, monkeypatch):
    touch(tmp_path, "images/1.jpg", "images/train/1")
    (tmp_path / "images/train/1.heic").write_bytes(HEIC)
    (tmp_path / "images/train/1.json").write_bytes(b"{}")
    assert located(tmp_path, "1") == "images/1.jpg"
    (tmp_path / "images/1.jpg").unlink()
    assert located(tmp_path, "1") == "images/train/1.heic"
    for formats, told in ((("JPEG", "PNG"), r'HEIC.* pip install "mlob\[heic\]"'), (("HEIF", "JPEG"), "^not ")):
        monkeypatch.setattr(images, "FORMATS", formats)
        with pytest.raises(Unreadable, match=told):
            images.decode(HEIC, 32)


def test_of_two_files_of_one_name_the_first_sorted_is_taken(tmp_path):
    touch(tmp_path, "images/1.png", "images/1.jpg", "images/1.webp")
    assert located(tmp_path, "1") == "images/1.jpg"


def test_the_file_that_is_named_whole_comes_before_one_of_that_stem(tmp_path):
    touch(tmp_path, "images/1.jpg.png")
    assert located(tmp_path, "1.jpg") == located(tmp_path, "1.jpg", "1.jpg") == "images/1.jpg.png"
    touch(tmp_path, "images/1.jpg")
    assert located(tmp_path, "1.jpg") == located(tmp_path, "1.jpg", "1.jpg") == "images/1.jpg"
    touch(tmp_path, "images/train/1.jpg.png")
    assert located(tmp_path, "1.jpg", "1.jpg") == "images/1.jpg"  # where the id is a path, as in photos.csv


def splits_of(folder, **ids):
    """A data set whose splits have these ids, each photo with an address of its own."""
    for split, names in ids.items():
        records = [{"imageId": name, "url": f"http://nowhere/{split}/{name}"} for name in names]
        (folder / f"{split}.json").write_text(json.dumps({"images": records}))
    return read_dataset(folder)


def test_a_photo_that_two_splits_would_take_is_refused_and_both_folders_are_named(tmp_path):
    touch(tmp_path, "images/1.jpg", "images/2.jpg")
    dataset = splits_of(tmp_path, train=["1", "2"], validation=["1", "3"], test=["2", "4"])
    for split, photo, other in (("train", 1, "validation"), ("validation", 1, "train"), ("test", 2, "train")):
        told = rf"images/{photo}\.jpg .* {photo} of {split} and of {other}: .* images/{split}/ and images/{other}/"
        with pytest.raises(InputError, match=told):
            dataset.photos(split)


@pytest.mark.parametrize("packed", [False, True])
def test_a_photo_of_no_split_is_taken_where_the_others_have_their_own(tmp_path, packed):
    touch(tmp_path, "images/validation/1.jpg", "images/test/1.png")
    if packed:
        zipped(tmp_path / "images.zip", {"1.jpg": b"a"})
    else:
        touch(tmp_path, "images/1.jpg")
    dataset = splits_of(tmp_path, train=["1"], validation=["1", "2"], test=["1"])
    (photo,) = dataset.photos("train")
    assert photo.name == "1.jpg" and str(photo).startswith(str(tmp_path / "images"))
    assert [place and place.parent.name for place in dataset.photos("validation")] == ["validation", None]
    (tmp_path / "images/validation/1.jpg").unlink()
    with pytest.raises(InputError, match=r"1\.jpg .* images/validation/ and images/train/"):
        read_dataset(tmp_path).photos("validation")


def test_a_name_may_hold_dots(tmp_path):
    touch(tmp_path, "images/a.b.jpg")
    assert located(tmp_path, "a.b") == "images/a.b.jpg"


def test_a_url_is_relative_to_the_folder_or_to_images_and_no_web_address(tmp_path):
    touch(tmp_path, "images/sub/a.jpg", "http:/host/a.jpg")
    assert located(tmp_path, "1", "sub/a.jpg") == "images/sub/a.jpg"
    assert located(tmp_path, "1", "images/sub/a.jpg") == "images/sub/a.jpg"
    assert located(tmp_path, "1", "http://host/a.jpg") is None


@pytest.mark.parametrize(
    ("name", "url", "wanted"),
    [
        ("1", "", ["images/train/1.jpg", "images/1.jpg"]),
        ("1", "http://nowhere/1", ["images/train/1.jpg", "images/1.jpg"]),
        ("1", "sub/a.png", ["images/train/1.jpg", "images/1.jpg", "sub/a.png", "images/sub/a.png"]),
        ("1.png", "", ["images/train/1.png", "images/1.png"]),
        ("images/1.jpg", "images/1.jpg", ["images/1.jpg"]),
        ("1.jpg", "1.jpg", ["1.jpg", "images/1.jpg"]),
    ],
)
def test_the_files_that_a_message_names_are_those_that_are_looked_for(tmp_path, name, url, wanted):
    assert locate.looked_for("train", name, url) == wanted
    for file in wanted:
        touch(tmp_path, file)
        assert located(tmp_path, name, url) == file
        (tmp_path / file).unlink()


def test_photos_come_in_the_order_of_their_ids(tmp_path):
    touch(tmp_path, "images/1.jpg", "images/3.jpg")
    found = locate.photos(Tree(tmp_path), "train", ["3", "2", "1"], ["", "", ""])
    assert list(found) == [tmp_path / "images/3.jpg", None, tmp_path / "images/1.jpg"]


def test_photos_are_listed_among_files_folders_and_archives_each_once(tmp_path):
    touch(tmp_path, "a.txt", "kept/2.jpg", "kept/sub/1.PNG", "kept/note.txt")
    zipped(tmp_path / "more.zip", {"b.jpg": b"b", "a.jpg": b"a", "note.txt": b""})
    found = locate.below([tmp_path / "a.txt", tmp_path / "kept", tmp_path / "kept/2.jpg", tmp_path / "more.zip"])
    names = ["a.txt", "kept/2.jpg", "kept/sub/1.PNG", "more.zip/a.jpg", "more.zip/b.jpg"]
    assert [str(place) for place in found] == [str(tmp_path / name) for name in names]


@pytest.mark.parametrize("packed", [False, True])
def test_photos_among_other_files_are_told_by_content_and_the_rest_is_counted(tmp_path, capsys, packed):
    files = {"a.jfif": b"", "b": PNG, "c.HEIC": HEIC, "d.txt": b"text", "e.mp4": b"\0\0\0\x18ftypmp42", "f": b"",
             "g.csv": b"1", "._a.jpg": b""}  # fmt: skip
    if packed:
        folder = zipped(tmp_path / "new.zip", files)
    else:
        folder = on_disk(tmp_path / "new", files | {"sub/i.jpg": b""})
        (folder / "folder.jpg").mkdir()
        os.mkfifo(folder / "pipe")
    found = [str(place).removeprefix(f"{folder}/") for place in locate.below([folder])]
    assert found == ["a.jfif", "b", "c.HEIC", *([] if packed else ["sub/i.jpg"])]
    (line,) = capsys.readouterr().err.splitlines()
    first = "d.txt, e.mp4, f, …" if packed else "._a.jpg, d.txt, e.mp4, …"
    assert line == f"{folder}: {4 if packed else 6} files are not photos and were left out: {first}"


COMBINED, APART = "ge\u00e4ndert \u00c5", "gea\u0308ndert A\u030a"


@pytest.mark.parametrize(("asked", "there"), [(COMBINED, APART), (APART, COMBINED)])
@pytest.mark.parametrize("way", ["id", "path", "archive"])
def test_a_name_is_found_in_the_other_form_of_unicode_and_first_in_its_own(tmp_path, asked, there, way):
    def find():
        ids, urls = ([asked], [""]) if way == "id" else ([f"{asked}/{asked}.jpg"],) * 2
        (place,) = locate.photos(Tree(tmp_path), "train", ids, urls)
        return place and str(place).split("/")[-1]

    def put(name):
        if way == "archive":
            zipped(tmp_path / "images.zip", {f"{name}/{name}.jpg": b"a"})
        else:
            touch(tmp_path, f"images/{name}.jpg" if way == "id" else f"{name}/{name}.jpg")

    assert find() is None
    put(there)
    assert find() == f"{there}.jpg"
    put(asked)
    assert find() == f"{asked}.jpg"


def test_a_folder_is_listed_once_and_only_when_it_is_asked_for(tmp_path, monkeypatch):
    touch(tmp_path, "images/train/1.jpg", "images/train/2.jpg", "images/test/1.jpg", "other/a.jpg")
    listed, scandir = [], os.scandir
    monkeypatch.setattr(
        os, "scandir", lambda folder: listed.append(os.path.relpath(folder, tmp_path)) or scandir(folder)
    )
    tree = Tree(tmp_path)
    for split in ("train", "test", "train"):
        assert all(locate.photos(tree, split, ["1"], [""]))
    assert sorted(listed) == ["images", "images/test", "images/train"]


def test_an_id_may_stand_anywhere_in_the_path_and_slices_know_their_ids(tmp_path):
    urls = {"1": "1/1/11.1.jpg", "2": "images/2.jpg/3.jpg", "3": "3", "é": "e/x.jpg", "4": "", "5": "5/5.png"}
    touch(tmp_path, *(url for url in urls.values() if url), "images/4.jpg")
    found = locate.photos(Tree(tmp_path), "train", [*urls, "6"], [*urls.values(), ""])
    expected = [*(url or "images/4.jpg" for url in urls.values())]
    assert list(found) == [*(tmp_path / path for path in expected), None]
    assert list(pickle.loads(pickle.dumps(found[2:5]))) == [tmp_path / path for path in expected[2:5]]
    assert found[-2] == tmp_path / "5/5.png" and found[-1] is None


def test_the_photos_of_a_data_set_are_looked_for_once(tmp_path, monkeypatch):
    touch(tmp_path, "images/1.jpg")
    write(tmp_path / "photos.csv", "image,labels,split\n1.jpg,x,train\n2.jpg,x,train\n")
    dataset, asked, photos = read_dataset(tmp_path), [], locate.photos
    monkeypatch.setattr(
        locate, "photos", lambda tree, split, *more, **named: asked.append(split) or photos(tree, split, *more, **named)
    )
    for _ in range(2):
        assert list(dataset.photos("train")) == [tmp_path / "images/1.jpg", None]
        assert len(dataset.versions["train"]) == 2
    assert asked == ["train"]
