"""Photos are the same wherever they lie: in folders, in archives as if unpacked, in a bucket."""

import concurrent.futures
import contextlib
import dataclasses
import http.server
import io
import json
import os
import pickle
import posixpath
import sys
import tarfile
import threading
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob.data import archives, images, locate, places
from mlob.data.dataset import read_dataset
from mlob.data.tree import Tree
from mlob.errors import InputError

PHOTOS = {f"images/{split}/{number}.jpg": f"{split} {number}".encode() * 50 for split in ("train", "test") for number in
          (1, 2, 3)}  # fmt: skip


def located(folder, name, url="", split="train"):
    (path,) = locate.photos(Tree(folder), split, [name], [url])
    return path and path.relative_to(folder).as_posix()


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


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
        with pytest.raises(images.Unreadable, match=told):
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


def unflagged(path, name, encoding):
    """A zip whose name is of an encoding, without the flag that says UTF-8."""
    raw = name.encode(encoding)
    zipped(path, {"?" * len(raw): b"a"})
    path.write_bytes(path.read_bytes().replace(b"?" * len(raw), raw))
    return path


@pytest.mark.parametrize("name", ["images/\u00e4.jpg", "\u5199\u771f/1.jpg", "images/plain.jpg"])
def test_names_of_a_zip_that_lack_the_flag_are_utf_8_where_they_can_be_and_else_cp437(tmp_path, name):
    assert [*archives.contents(unflagged(tmp_path / "a.zip", name, "utf-8"))] == [name]
    assert [*archives.contents(zipped(tmp_path / "b.zip", {name: b"a"}))] == [name]
    if name.startswith("images"):
        assert [*archives.contents(unflagged(tmp_path / "c.zip", name, "cp437"))] == [name]


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


# Archives


def zipped(path, files, method=zipfile.ZIP_DEFLATED):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path, files, kind="w:"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, kind) as archive:
        for name, content in files.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = 0 if info is content else len(content)
            archive.addfile(info, None if info is content else io.BytesIO(content))
    return path


def stored(path, files):
    return zipped(path, files, zipfile.ZIP_STORED)


WAYS = [
    pytest.param(way, suffix, id=way.__name__) for way, suffix in ((zipped, "zip"), (stored, "zip"), (tarred, "tar"))
]


def read(folder, split="train", ids=("1", "2", "3"), urls=("", "", "")):
    """The bytes of each photo, None where there is none."""
    return [place and images.content(place) for place in locate.photos(Tree(folder), split, ids, urls)]


@pytest.mark.parametrize(("way", "suffix"), WAYS)
@pytest.mark.parametrize(
    ("archive", "inside"),
    [
        ("all", "images/train/"),
        ("all", "./images/train/"),
        ("all", "images\\train\\"),
        ("images", "images/train/"),
        ("images", "train/"),
        ("train", "images/train/"),
        ("train", "train/"),
        ("train", ""),
        ("images/part-1", "train/"),
        ("images/train", ""),
        ("images/train", "train/"),
    ],
)
def test_an_archive_reads_as_if_unpacked_where_it_lies_or_into_a_folder_of_its_name(
    tmp_path, way, suffix, archive, inside
):
    contents = {str(number): f"photo {number}".encode() * 99 for number in (1, 2, 3)}
    way(tmp_path / f"{archive}.{suffix}", {f"{inside}{name}.jpg": content for name, content in contents.items()})
    assert read(tmp_path) == list(contents.values())
    assert read(tmp_path, "test") == [None, None, None]


@pytest.mark.parametrize(("archive", "inside"), [("images", ""), ("images", "images/"), ("images/part-1", "")])
def test_photos_of_no_split_are_found_for_any(tmp_path, archive, inside):
    zipped(tmp_path / f"{archive}.zip", {f"{inside}1.jpg": b"a"})
    assert read(tmp_path, "test") == read(tmp_path, "train") == [b"a", None, None]


def test_a_url_may_point_into_an_archive(tmp_path):
    zipped(tmp_path / "kept.zip", {"a": b"a", "sub/b.jpg": b"b", "kept/c.jpg": b"c"})
    assert read(tmp_path, urls=("kept/a", "kept/sub/b.jpg", "kept/c.jpg")) == [b"a", b"b", b"c"]


def test_ids_that_start_anew_in_each_split_keep_their_own_photos(tmp_path):
    zipped(tmp_path / "images/train.zip", {"1.jpg": b"train 1", "2.jpg": b"train 2"})
    zipped(tmp_path / "images/test.zip", {"images/1.jpg": b"test 1"})
    assert read(tmp_path, "train") == [b"train 1", b"train 2", None]
    assert read(tmp_path, "test") == [b"test 1", None, None]


def test_files_on_disk_come_before_archives_and_the_first_archive_before_the_others(tmp_path):
    zipped(tmp_path / "images/a.zip", {"1.jpg": b"first", "2.jpg": b"first"})
    tarred(tmp_path / "images/b.tar", {"2.jpg": b"second", "3.jpg": b"second"})
    (tmp_path / "images/1.jpg").write_bytes(b"on disk")
    assert read(tmp_path) == [b"on disk", b"first", b"second"]


def test_of_two_members_of_one_name_the_last_is_read_as_unpacking_leaves_it(tmp_path):
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        for content in (b"old", b"newer"):
            info = tarfile.TarInfo("1.jpg")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assert read(tmp_path)[0] == b"newer"


def test_archives_are_left_alone_where_all_photos_are_on_disk(tmp_path):
    touch(tmp_path, "images/1.jpg")
    (tmp_path / "images.zip").write_bytes(b"half a download")
    assert located(tmp_path, "1") == "images/1.jpg"
    with pytest.raises(InputError, match=r"images\.zip is not a complete zip archive .* copy it again, or move it"):
        located(tmp_path, "2")


LEAVING = [
    "/1.jpg",
    "../1.jpg",
    "images/../../1.jpg",
    "C:/1.jpg",
    "c:1.jpg",
    "\\1.jpg",
    "..\\images\\1.jpg",
    "//host/a/1.jpg",
]


@pytest.mark.parametrize(("way", "suffix"), WAYS)
def test_entries_that_leave_the_folder_are_never_read_and_told_of(tmp_path, capsys, way, suffix):
    path = way(tmp_path / f"images.{suffix}", dict.fromkeys(LEAVING, b"evil") | {"2.jpg": b"good"})
    assert [place.inside for place in archives.contents(path).values()] == ["2.jpg"]
    assert (
        capsys.readouterr().err
        == f"{path}: 8 entries were skipped (a link, a device, or a path out of the folder), first '/1.jpg'.\n"
    )
    assert read(tmp_path) == [None, b"good", None]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_never_read_and_told_of(tmp_path, capsys, kind):
    entry = tarfile.TarInfo("1.jpg")
    entry.type, entry.linkname = kind, "/etc/passwd"
    tarred(tmp_path / "images.tar", {"1.jpg": entry, "2.jpg": b"good"})
    assert read(tmp_path) == [None, b"good", None]
    assert "1 entry was skipped" in capsys.readouterr().err


def test_links_in_a_zip_are_never_read_and_told_of(tmp_path, capsys):
    link = zipfile.ZipInfo("1.jpg")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert read(tmp_path) == [None, None, None]
    assert "1 entry was skipped" in capsys.readouterr().err


def test_notes_of_the_finder_are_no_photos(tmp_path, capsys):
    zipped(tmp_path / "images.zip", {"__MACOSX/images/1.jpg": b"x", "images/._2.jpg": b"x", "images/3.jpg": b"photo"})
    assert list(archives.contents(tmp_path / "images.zip")) == ["images/3.jpg"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("kind", "suffix"), [("w:gz", "tar.gz"), ("w:gz", "tgz"), ("w:xz", "tar.xz")])
def test_a_compressed_tar_is_told_of_in_a_sentence(tmp_path, capsys, kind, suffix):
    path = tarred(tmp_path / f"images.{suffix}", {"1.jpg": b"a"}, kind)
    assert read(tmp_path) == [None, None, None]
    assert capsys.readouterr().err.startswith(f"{path} is not read: a compressed tar has no random access.")


def test_a_compressed_tar_by_another_name_is_refused(tmp_path):
    tarred(tmp_path / "images.tar", {"1.jpg": b"a"}, "w:gz")
    with pytest.raises(InputError, match=r"images\.tar is not a complete tar archive"):
        read(tmp_path)


@pytest.mark.parametrize(("way", "suffix"), WAYS)
def test_a_place_has_the_name_of_its_photo_and_survives_the_way_to_another_machine(tmp_path, way, suffix):
    way(tmp_path / f"images.{suffix}", {"sub/a.b.JPG": b"a"})
    (place,) = archives.contents(tmp_path / f"images.{suffix}").values()
    assert (place.name, place.stem, place.suffix) == ("a.b.JPG", "a.b", ".JPG")
    assert str(place) == str(tmp_path / f"images.{suffix}" / "sub/a.b.JPG")
    again = pickle.loads(pickle.dumps(place))
    assert again == place and hash(again) == hash(place) and again.read_bytes() == b"a"


@pytest.mark.parametrize(("way", "suffix"), WAYS)
def test_many_threads_at_once_read_the_right_bytes(tmp_path, way, suffix):
    contents = {f"{number}.jpg": os.urandom(number) + bytes(number) for number in range(300)}
    found = archives.contents(way(tmp_path / f"images.{suffix}", contents))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for _ in range(5):
            assert dict(zip(found, pool.map(lambda place: place.read_bytes(), found.values()), strict=True)) == contents


def reason(place):
    with pytest.raises(images.Unreadable) as caught:
        images.content(place)
    return str(caught.value)


@pytest.mark.parametrize(("way", "suffix"), WAYS)
def test_a_member_cut_short_since_is_unreadable_and_so_is_one_whose_archive_has_gone(tmp_path, way, suffix):
    path = way(tmp_path / f"images.{suffix}", {"1.jpg": os.urandom(2000)})
    (place,) = archives.contents(path).values()
    os.truncate(path, 1000)
    assert reason(place) == "cut short in the archive"
    path.unlink()
    assert reason(place) == "no file"


def test_a_member_of_too_many_bytes_is_unreadable(tmp_path, monkeypatch):
    files = {"1.jpg": bytes(1001), "2.jpg": bytes(1000)}
    monkeypatch.setattr(images, "MOST_BYTES", 1000)
    for path in (zipped(tmp_path / "a.zip", files), tarred(tmp_path / "b.tar", files)):
        bomb, good = archives.contents(path).values()
        assert reason(bomb) == "too many bytes"
        assert images.content(good) == bytes(1000)


def test_a_member_that_holds_more_than_it_says_is_unreadable(tmp_path):
    data = zipped(tmp_path / "a.zip", {"1.jpg": bytes(100_000)}).read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    (place,) = archives.contents(tmp_path / "a.zip").values()
    assert place.size == 10 and reason(place) == "damaged in the archive"


def test_a_member_that_takes_more_bytes_than_it_says_is_not_read(tmp_path, monkeypatch):
    data = zipped(tmp_path / "a.zip", {"1.jpg": os.urandom(2000)}).read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace((2000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    monkeypatch.setattr(images, "MOST_BYTES", 1000)
    (place,) = archives.contents(tmp_path / "a.zip").values()
    assert place.size == 10 and reason(place) == "too many bytes"


def pax(records, size=512, follows=b""):
    """The start of a tar: an extended header of these records, and one file."""
    about = tarfile.TarInfo("1.jpg")
    about.type, about.size = tarfile.XHDTYPE, size
    text = "".join(f"{len(line) + 4} {line}\n" for line in records).encode()
    return (
        about.tobuf(tarfile.USTAR_FORMAT if size < 8**11 else tarfile.GNU_FORMAT)
        + text.ljust(512, b"\0")
        + (follows or tarfile.TarInfo("1.jpg").tobuf())
    )


@pytest.mark.parametrize("head", [
    pax([f"size={size}"]) for size in (-512, -1024, -1536, -10_240, -(2**70), 2**70)
] + [
    pax([], size) for size in (2**40, 2**62, 2**63 - 512, 2**70)
] + [pax(["GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=a"])])  # fmt: skip
def test_a_tar_whose_sizes_cannot_be_is_refused_at_once(tmp_path, head):
    (tmp_path / "images.tar").write_bytes(head.ljust(10_240, b"\0"))
    with pytest.raises(InputError, match=r"images\.tar is not a complete tar archive"):
        archives.contents(tmp_path / "images.tar")


@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_an_archive_without_an_end_is_refused(tmp_path, suffix):
    os.mkfifo(tmp_path / f"images.{suffix}")
    with pytest.raises(InputError, match=rf"images\.{suffix} is not a complete {suffix} archive"):
        locate.below([tmp_path / f"images.{suffix}"])


@settings(deadline=None, max_examples=100)
@given(st.sampled_from([pax(["size=9"]), pax(["path=2.jpg"]), tarfile.TarInfo("1.jpg").tobuf()]), st.data())
def test_any_header_of_a_tar_gives_files_or_a_refusal(tmp_path_factory, head, data):
    path = tmp_path_factory.mktemp("headers") / "a.tar"
    changed = bytearray(head.ljust(2048, b"\0"))
    spots = st.integers(0, len(head) - 1) | st.sampled_from([124, 125, 135, 156, 257, 482, 483])
    for place, value in data.draw(st.dictionaries(spots, st.integers(0, 255), max_size=6)).items():
        changed[place] = value
    if data.draw(st.booleans()):  # else the checksum refuses nearly all
        total = sum(changed[:148]) + sum(changed[156:512]) + 8 * 32
        changed[148:156] = b"%06o\0 " % total
    path.write_bytes(changed)
    with contextlib.suppress(InputError):
        for place in archives.contents(path).values():
            with contextlib.suppress(images.Unreadable):
                images.content(place)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_compressed_in_an_unusual_way_is_unreadable(tmp_path, method):
    (place,) = archives.contents(zipped(tmp_path / "a.zip", {"1.jpg": b"a"}, method)).values()
    assert reason(place) == "encrypted, or compressed in an unusual way"


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([zipped, stored, tarred]), st.integers(0, 2**20), st.integers(1, 255), st.none() | st.floats(0, 1)
)
def test_a_damaged_archive_gives_the_photo_a_reason_or_a_refusal(tmp_path_factory, way, position, flip, left):
    path = way(tmp_path_factory.mktemp("damaged") / ("a.tar" if way is tarred else "a.zip"), {"1.jpg": b"photo" * 20})
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= flip
    path.write_bytes(data[: None if left is None else int(left * len(data))])
    try:
        found = [images.content(place) for place in archives.contents(path).values()]
    except (images.Unreadable, InputError):
        return
    assert way is tarred or found in ([], [b"photo" * 20])  # a tar has no checksums of contents


# Buckets


@pytest.fixture(scope="module")
def bucket():
    """The address of a bucket at a local S3 server, and the file system that it is written through."""
    server = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    with pytest.MonkeyPatch.context() as patched:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "made-up")
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patched.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*running.get_host_and_port()))
        store = s3fs.S3FileSystem(use_listings_cache=False)
        store.mkdir("photos")
        yield "s3://photos", store
        store.clear_instance_cache()
    running.stop()


def annotated(contents):
    """The files of a data set in the layout of iMaterialist, with these photos."""
    files = dict(contents)
    for split in ("train", "test"):
        ids = [name.split("/")[-1][:-4] for name in contents if f"/{split}/" in name]
        split_of = {"images": [{"imageId": name} for name in ids]}
        if split == "train":
            split_of["annotations"] = [{"imageId": name, "labelId": [int(name)]} for name in ids]
        files[f"{split}.json"] = json.dumps(split_of).encode()
    return files | {"label_map.csv": "labelId,labelName\n1,Å\n2,b\n3,c\n".encode()}


def on_disk(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def in_bucket(bucket, prefix, files):
    address, store = bucket
    store.pipe({f"{address}/{prefix}/{name}": content for name, content in files.items()})
    return f"{address}/{prefix}"


def all_of(dataset):
    """Labels, ids, targets and photos of a data set."""
    return dataset.labels, [
        (split.name, split.ids, split.targets if split.targets is None else split.targets.tolist(),
         [images.content(place) for place in dataset.photos(split.name)])
        for split in dataset.splits.values()
    ]  # fmt: skip


@pytest.mark.parametrize(("way", "suffix"), WAYS)
def test_a_data_set_is_the_same_with_its_photos_in_an_archive(tmp_path, way, suffix):
    whole = read_dataset(on_disk(tmp_path / "whole", annotated(PHOTOS)))
    packed = on_disk(tmp_path / "packed", {name: data for name, data in annotated(PHOTOS).items() if "/" not in name})
    way(packed / f"images.{suffix}", PHOTOS)
    assert all_of(read_dataset(packed)) == all_of(whole)
    assert not read_dataset(packed).is_remote


def test_a_data_set_is_the_same_in_a_bucket(tmp_path, bucket):
    whole = read_dataset(on_disk(tmp_path, annotated(PHOTOS)))
    for marker in ("some/mine/", "some/mine/images/"):  # as some tools leave for a folder
        bucket[1].call_s3("put_object", Bucket="photos", Key=marker, Body=b"")
    dataset = read_dataset(in_bucket(bucket, "some/mine", annotated(PHOTOS)) + "/")
    assert all_of(dataset) == all_of(whole)
    assert (dataset.name, dataset.is_remote, str(dataset.folder)) == ("mine", True, "s3://photos/some/mine")
    place = dataset.photos("train")[0]
    assert (place.name, place.stem, place.suffix) == ("1.jpg", "1", ".jpg")
    assert str(place) == "s3://photos/some/mine/images/train/1.jpg"
    assert pickle.loads(pickle.dumps(place)).read_bytes() == place.read_bytes()


def test_a_whole_bucket_can_be_a_data_set(bucket):
    _, store = bucket
    store.mkdir("whole")
    store.pipe({f"s3://whole/{name}": content for name, content in annotated(PHOTOS).items()})
    dataset = read_dataset("s3://whole")
    assert dataset.name == "whole"
    assert [images.content(place) for place in dataset.photos("test")] == list(PHOTOS.values())[3:]


def test_a_bucket_is_listed_once(bucket, monkeypatch):
    dataset = read_dataset(in_bucket(bucket, "once", annotated(PHOTOS)))
    listed, find = [], dataset.folder.fs.find
    monkeypatch.setattr(dataset.folder.fs, "find", lambda *given, **more: listed.append(1) or find(*given, **more))
    for split in ("train", "test", "train"):
        assert all(dataset.photos(split))
    assert listed == [1]


def test_many_reads_are_under_way_at_once(bucket, monkeypatch):
    together = threading.Barrier(places.READS)

    class Store(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            together.wait(timeout=10)  # answers nobody before all have asked
            self.send_response(206)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"photo")

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = places.READS

    bucket[1].clear_instance_cache()
    with Server(("127.0.0.1", 0), Store) as server, concurrent.futures.ThreadPoolExecutor(places.READS) as pool:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        photo = places.InBucket(places.data_folder("s3://photos/many"), "1.jpg", 5, "")
        read = list(pool.map(images.content, [photo] * places.READS))
        server.shutdown()
    assert read == [b"photo"] * places.READS
    bucket[1].clear_instance_cache()


def test_splits_drawn_by_the_bytes_of_photos_in_a_bucket_are_those_on_disk(tmp_path, bucket, monkeypatch):
    table = "image,labels\n" + "".join(f"{name},x\n" for name in PHOTOS)
    files = PHOTOS | {"photos.csv": table.encode()}
    whole = read_dataset(on_disk(tmp_path / "whole", files))
    address, kept = in_bucket(bucket, "drawn", files), tmp_path / "digests.csv"
    dataset = read_dataset(address, digests=kept)
    assert {name: split.ids for name, split in dataset.splits.items()} == {
        name: split.ids for name, split in whole.splits.items()
    }
    monkeypatch.setattr(images, "content_digest", lambda data: pytest.fail("digested again"))
    read_dataset(address, digests=kept)


def test_an_object_that_has_gone_or_is_empty_is_unreadable(bucket):
    dataset = read_dataset(in_bucket(bucket, "gone", annotated(PHOTOS | {"images/train/1.jpg": b""})))
    empty, gone, good = dataset.photos("train")
    bucket[1].rm("s3://photos/gone/images/train/2.jpg")
    assert (reason(empty), reason(gone)) == ("empty file", "no file")
    assert images.content(good) == PHOTOS["images/train/3.jpg"]


def test_a_denied_photo_is_unreadable_but_an_outage_stops_the_run(bucket, monkeypatch):
    dataset = read_dataset(in_bucket(bucket, "denied", annotated(PHOTOS)))
    place = dataset.photos("train")[0]

    def failing(error):
        def cat_file(*_, **__):
            raise error

        monkeypatch.setattr(dataset.folder.fs, "cat_file", cat_file)

    failing(PermissionError("Access Denied"))
    assert reason(place) == "access denied"
    for error in (PermissionError("The provided token has expired."), TimeoutError(), OSError(5, "Slow down")):
        failing(error)
        with pytest.raises(InputError, match=r"s3://photos/denied/images/train/1\.jpg cannot be read .* same command"):
            images.content(place)
    assert dataclasses.replace(place, size=0).read_bytes() == b""  # which no store was asked for


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://photos/nowhere", "The data folder s3://photos/nowhere does not exist"),
        ("s3://no-such-bucket/mine", "The data folder s3://no-such-bucket/mine does not exist"),
        ("s3://photos/other", "s3://photos/other holds no annotations: expected photos.csv"),
        ("s3://photos/broken", "s3://photos/broken/train.json is not whole JSON"),
        ("s3://", "s3:// is not an address that photos can be read from"),
        ("s3:///mine", "s3:///mine is not an address that photos can be read from"),
        (
            "ftp://host/mine",
            "ftp://host/mine is not an address that photos can be read from: expected a folder, s3://… or gs",
        ),
    ],
)
def test_an_address_that_cannot_be_right_is_refused(bucket, address, message):
    in_bucket(bucket, "other", {"a.txt": b"a"})
    in_bucket(bucket, "broken", {"train.json": b"{"})
    with pytest.raises(InputError, match=message):
        read_dataset(address)


def test_archives_in_a_bucket_are_told_of(bucket, capsys):
    files = annotated(PHOTOS) | {"images.zip": b"zip"}
    del files["images/train/1.jpg"]
    dataset = read_dataset(in_bucket(bucket, "archives", files))
    assert dataset.photos("train")[0] is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("s3://photos/archives/images.zip is not read: archives are read from a disk only")


@pytest.mark.parametrize(("scheme", "package"), [("s3", "upath"), ("gs", "gcsfs")])
def test_an_extra_that_is_not_installed_is_named(monkeypatch, scheme, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf'{scheme}://photos/mine needs .* pip install "mlob\[{scheme}\]"\.$'):
        read_dataset(f"{scheme}://photos/mine")
