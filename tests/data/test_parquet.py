"""Photos in Parquet files are read in place: the bytes that were written, each row group once."""

import concurrent.futures
import os
import pickle

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as written

from mlob.data import images, parquet, places
from mlob.errors import InputError, Unreadable

PHOTOS = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=12)


def write(path, photos, *, group=3, is_struct=True):
    column = [{"bytes": photo, "path": None} for photo in photos] if is_struct else photos
    kind = (
        pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()}) if is_struct else pyarrow.large_binary()
    )
    table = pyarrow.table({"image": pyarrow.array(column, kind)})
    written.write_table(table, path, row_group_size=group)
    return path


def rows(*paths):
    return parquet.Rows([parquet.file(path, "image") for path in paths])


@settings(deadline=None, max_examples=25)
@given(st.lists(PHOTOS, min_size=1, max_size=3), st.integers(1, 5), st.booleans(), st.data())
def test_photos_are_those_that_were_written_in_any_order(tmp_path_factory, files, group, is_struct, data):
    folder = tmp_path_factory.mktemp("parquet")
    paths = [write(folder / f"{n}.parquet", each, group=group, is_struct=is_struct) for n, each in enumerate(files)]
    photos, expected = rows(*paths), [photo for each in files for photo in each]
    order = data.draw(st.permutations(range(len(expected))))
    assert [photos[row].read_bytes() for row in order] == [expected[row] for row in order]
    assert [place.read_bytes() for place in photos.take(np.array(order))] == [expected[row] for row in order]
    assert [place.read_bytes() for place in photos[1:4]] == expected[1:4]
    assert len({str(place) for place in photos}) == len(expected)
    assert pickle.loads(pickle.dumps(photos[0])).read_bytes() == expected[0]
    assert list(pickle.loads(pickle.dumps(photos[1:]))) == list(photos)[1:]


def test_threads_that_read_in_order_read_each_row_group_once(tmp_path, monkeypatch):
    read, real = [], parquet._read_group
    monkeypatch.setattr(parquet, "_read_group", lambda *key: read.append(key) or real(*key))
    contents = [bytes([number]) * 9 for number in range(100)]
    photos = rows(write(tmp_path / "a.parquet", contents, group=7))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(images.content, photos)) == contents
    assert len(read) == len(set(read)) == 15


def test_no_more_row_groups_stay_in_memory_than_allowed_or_two(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "KEPT_BYTES", 3000)
    for size, least in ((400, 3), (4000, 2)):
        parquet._groups.clear()
        for place in rows(write(tmp_path / f"{size}.parquet", [bytes(size)] * 40, group=2)):
            place.read_bytes()
            kept = [photos.nbytes for photos in parquet._groups.values()]
            assert sum(kept) <= 3000 or len(kept) <= 2
        assert len(kept) == least


def test_the_row_groups_that_were_used_last_stay_in_memory(tmp_path, monkeypatch):
    read, real = [], parquet._read_group
    monkeypatch.setattr(parquet, "_read_group", lambda *key: read.append(key[-1]) or real(*key))
    monkeypatch.setattr(parquet, "KEPT_BYTES", 1000)
    photos = rows(write(tmp_path / "a.parquet", [bytes(400)] * 3, group=1))
    for row in (0, 1, 0, 2, 0, 1):
        photos[row].read_bytes()
    assert read == [0, 1, 2, 1]


def test_a_photo_that_is_too_large_is_unreadable_and_its_neighbour_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MOST_BYTES", 5)
    large, small = rows(write(tmp_path / "a.parquet", [b"larger", b"small"]))
    with pytest.raises(Unreadable, match="too many bytes"):
        images.content(large)
    assert images.content(small) == b"small"


def test_a_row_group_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MOST_GROUP_BYTES", 3000)
    path = write(tmp_path / "a.parquet", [os.urandom(400) for _ in range(20)], group=20)
    with pytest.raises(InputError, match=r"a\.parquet: the row group 0 holds .* GiB of photos; .*row_group_size"):
        rows(path)


def test_the_version_of_a_photo_changes_with_its_file(tmp_path):
    path = write(tmp_path / "a.parquet", [b"one", b"two"])
    before = [places.version(place) for place in rows(path)]
    assert before == [places.version(place) for place in rows(path)]
    write(path, [b"one", b"three"])
    assert not set(before) & {places.version(place) for place in rows(path)}


def test_a_photo_that_is_not_there_has_a_reason(tmp_path):
    path = write(tmp_path / "a.parquet", [b"one", None])
    first, empty = rows(path)
    with pytest.raises(Unreadable, match="no photo in this row"):
        images.content(empty)
    parquet._groups.clear()  # as in another process
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Unreadable, match="damaged in the Parquet file"):
        images.content(first)
    path.unlink()
    with pytest.raises(Unreadable, match="no file"):
        images.content(first)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.parquet is not a complete Parquet file \(.*\): copy it again, or move it"),
        (b"PAR1 and no more", r"a\.parquet is not a complete Parquet file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", r"a\.parquet .*: run `git lfs pull`\."),
    ],
)
def test_a_file_that_is_not_complete_is_refused(tmp_path, content, message):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InputError, match=message):
        parquet.opened(tmp_path / "a.parquet")


def test_a_file_whose_photos_are_elsewhere_is_refused(tmp_path):
    written.write_table(pyarrow.table({"image": ["a.jpg"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"expected the photos in the column image .* found .* image \(string\)"):
        rows(tmp_path / "a.parquet")


def test_texts_that_are_not_utf_8_are_damage(tmp_path):
    texts = pyarrow.array([b"fine", b"\xff\xfe"], pyarrow.binary()).view(pyarrow.string())
    written.write_table(pyarrow.table({"name": texts}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet is damaged \(.*\): copy it again"):
        parquet.read([tmp_path / "a.parquet"])
