import os
import shutil

import pytest

from mlob.data import owners, places
from mlob.errors import InputError


def settled(products, folder):
    """Find a data folder's folder of products and begin it."""
    found = owners.find(owners.numbered(products / places.data_name(folder)), folder)
    owners.claim(found, folder)
    return found.name


def test_two_data_folders_of_one_name_never_share_a_folder(namesakes, tmp_path):
    names = [settled(tmp_path / "set", folder) for folder in namesakes]
    assert names == ["photos", "photos.2", "photos.3"]
    assert [settled(tmp_path / "set", folder) for folder in namesakes[::-1]] == names[::-1]
    assert settled(tmp_path / "another set", namesakes[2]) == "photos"


def test_one_data_folder_is_the_same_by_whatever_path(namesakes, tmp_path, monkeypatch):
    settled(tmp_path / "set", namesakes[0])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "photos").symlink_to(namesakes[0])
    monkeypatch.chdir(tmp_path / "a")
    for path in ("photos", "../a/photos/", tmp_path / "elsewhere" / "photos"):
        assert settled(tmp_path / "set", places.data_folder(path)) == "photos"


def test_a_data_folder_that_is_moved_keeps_its_folder(namesakes, tmp_path):
    for folder in namesakes[:2]:
        settled(tmp_path / "set", folder)
    shutil.move(namesakes[1], tmp_path / "moved" / "photos")
    assert settled(tmp_path / "set", tmp_path / "moved" / "photos") == "photos.2"
    assert settled(tmp_path / "set", namesakes[0]) == "photos"


def test_what_is_made_of_a_data_folder_that_is_gone_stays_its_own_where_another_has_another_name(namesakes, tmp_path):
    owners.claim(tmp_path / "runs", namesakes[0])
    shutil.rmtree(namesakes[0])
    candidates = [tmp_path / "runs", tmp_path / "runs.other"]
    assert owners.find(candidates, tmp_path / "other") == tmp_path / "runs.other"
    assert owners.find(candidates, namesakes[0]) == owners.find(candidates, namesakes[1]) == tmp_path / "runs"


def test_a_folder_that_names_no_data_folder_goes_to_the_first_that_asks(namesakes, tmp_path):
    (tmp_path / "set" / "photos" / "train").mkdir(parents=True)
    assert [settled(tmp_path / "set", folder) for folder in namesakes[:2]] == ["photos", "photos.2"]


def test_looking_for_a_folder_writes_nothing(namesakes, tmp_path):
    owners.find(owners.numbered(tmp_path / "set" / "photos"), namesakes[0])
    assert not (tmp_path / "set").exists()


def test_a_folder_that_another_job_begins_meanwhile_is_refused(namesakes, tmp_path):
    found = owners.find(owners.numbered(tmp_path / "set" / "photos"), namesakes[0])
    owners.claim(found, namesakes[1])
    with pytest.raises(InputError, match=rf"begun for {namesakes[1]}: run the same command again"):
        owners.claim(found, namesakes[0])


def test_buckets_of_one_last_name_have_a_folder_each(tmp_path):
    found = [settled(tmp_path, Bucket(address)) for address in ("s3://one/photos", "s3://two/photos")]
    assert found == ["photos", "photos.2"]


class Bucket(str):
    """Stands for the address of a bucket's folder."""

    drive = property(lambda self: self.split("/")[2])

    def resolve(self):
        return places.pathlib.PurePosixPath(self.partition("://")[2])


def test_a_data_folder_whose_name_is_not_utf_8_has_its_folder(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    found = settled(tmp_path / "set", folder)
    assert settled(tmp_path / "set", folder) == found
