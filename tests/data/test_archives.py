"""Photos in archives read as if these had been unpacked; damage gives a reason or a refusal."""

import concurrent.futures
import contextlib
import io
import os
import pickle
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import located, touch

from mlob.data import archives, images, locate, places
from mlob.data.tree import Tree
from mlob.errors import InputError, Unreadable


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
    with pytest.raises(Unreadable) as caught:
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
    for module in (archives, places):
        monkeypatch.setattr(module, "MOST_BYTES", 1000)
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
    for module in (archives, places):
        monkeypatch.setattr(module, "MOST_BYTES", 1000)
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
            with contextlib.suppress(Unreadable):
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
    except (Unreadable, InputError):
        return
    assert way is tarred or found in ([], [b"photo" * 20])  # a tar has no checksums of contents


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
