import dataclasses
import os

from mlob.data import owners
from mlob.features import store, store_folders


def test_two_data_folders_of_one_name_never_share_a_store(namesakes, tmp_path):
    for folder, name in zip(namesakes, ["photos", "photos.2", "photos.3"], strict=True):
        found = store_folders.find(tmp_path / "set", folder)
        owners.claim(found, folder)
        assert found == tmp_path / "set" / name
    assert store_folders.find(tmp_path / "another set", namesakes[1]).name == "photos"


def test_a_store_of_another_name_is_found_by_the_data_folder_that_it_notes(namesakes, tmp_path):
    owners.claim(tmp_path / "set" / "before", namesakes[1])
    assert store_folders.find(tmp_path / "set", namesakes[1]) == tmp_path / "set" / "before"
    assert store_folders.find(tmp_path / "set", namesakes[0]) == tmp_path / "set" / "photos"


def test_a_data_folder_named_as_the_photos_to_predict_has_a_store_of_its_own(tmp_path):
    assert store_folders.find(tmp_path, tmp_path / "data" / store.PREDICTED).name == f"{store.PREDICTED}.2"


def test_a_store_is_known_by_the_ids_of_a_split_where_its_data_folder_is_gone(namesakes, made, write_store, tmp_path):
    """The same store stands for a data folder that is there, for one that is gone, and for none."""
    for owner, name in ((namesakes[0], "a"), (tmp_path / "gone", "b"), (None, "c")):
        write_store(tmp_path / "set" / name, made)
        if owner:
            owners.claim(tmp_path / "set" / name, owner)
    assert list(store_folders.renamed(tmp_path / "set", made)) == [tmp_path / "set" / "b"]
    others = {name: dataclasses.replace(split, ids=split.ids[::-1]) for name, split in made.splits.items()}
    assert not list(store_folders.renamed(tmp_path / "set", dataclasses.replace(made, splits=others)))
    one = others | {"test": made["test"]}
    assert list(store_folders.renamed(tmp_path / "set", dataclasses.replace(made, splits=one)))


def test_digests_of_photos_are_kept_by_folder(namesakes, tmp_path):
    assert store_folders.digests_table(tmp_path, namesakes[0]) != store_folders.digests_table(tmp_path, namesakes[1])
    not_utf_8 = tmp_path / os.fsdecode(b"caf\xe9")
    assert store_folders.digests_table(tmp_path, not_utf_8).name.endswith("-digests.csv")
