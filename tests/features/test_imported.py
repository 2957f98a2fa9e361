"""Features that were made elsewhere: each photo has the row of its own id, and what has no counterpart is told."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlob.data import vectors
from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.features import backbones, imported, store, table
from mlob.models import beginning
from mlob.recipes import FeatureSet, Text
from mlob.training import batches

WIDTH = 3


def numbers(name):
    """Make up the features of a photo from its id."""
    return np.random.default_rng([*name.encode()]).normal(size=WIDTH).astype(np.float16).astype(float)


def frame(names, of=lambda name: name):
    rows = {name: numbers(name) for name in names}
    return pd.DataFrame(
        {
            "id": [of(name) for name in rows],
            **{f"x{at}": [*each] for at, each in enumerate(zip(*rows.values(), strict=True))},
        }
    )


@pytest.fixture
def dataset(drawn, tmp_path):
    """A data set whose photos are named by their paths, train/1.png and so on."""
    found = read_dataset(drawn)
    shutil.copytree(drawn / "images", tmp_path / "photos/images")
    rows = [f"{split}/{name}.png,{split},{'ab'[len(name) % 2]}" for split in found.splits for name in found[split].ids]
    (tmp_path / "photos/photos.csv").write_text("\n".join(["image,split,kind", *rows]) + "\n")
    return read_dataset(tmp_path / "photos")


def ids(dataset):
    return [name for split in dataset.splits.values() for name in split.ids]


@pytest.fixture
def bring(tmp_path):
    """Bring a table into a store: bring(dataset, table, …) gives the store's folder."""

    def run(dataset, made, folder="store", **options):
        path = tmp_path / "features.parquet"
        made.to_parquet(path, index=False)
        store_folder = tmp_path / folder / "marqo/photos"
        imported.bring("marqo", store_folder, dataset, vectors.read(path), **options)
        return store_folder

    return run


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def features(folder, dataset):
    """Read what a store has: {split: {id: row}}."""
    found = {name: batches.read([folder], split) for name, split in dataset.splits.items()}
    return {name: dict(zip(rows.ids.tolist(), rows.features[:].tolist(), strict=True)) for name, rows in found.items()}


def test_each_photo_has_the_row_of_its_own_id(dataset, bring, capsys):
    folder = bring(dataset, frame(ids(dataset)))
    for found in features(folder, dataset).values():
        assert found == {name: numbers(name).tolist() for name in found}
    assert "marqo: 24 of 24 photos have 3 numbers each; 24 new rows." in capsys.readouterr().err
    assert [path.parent.name for path in table.read(folder).shards] == ["0001"]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(24)))
def test_the_order_of_rows_changes_no_byte(dataset, bring, order):
    made = frame(ids(dataset))
    plain, shuffled = (
        {name: content for name, content in files(bring(dataset, each, folder)).items() if name.suffix == ".h5"}
        for each, folder in ((made, "plain"), (made.iloc[order], f"shuffled {order}"))
    )
    assert plain == shuffled and len(plain) == 1 + 3


def test_csv_and_parquet_give_equal_shards(dataset, bring, tmp_path, shards):
    folder, made = bring(dataset, frame(ids(dataset))), frame(ids(dataset))
    made.to_csv(tmp_path / "features.csv", index=False)
    imported.bring("marqo", tmp_path / "other/marqo/photos", dataset, vectors.read(tmp_path / "features.csv"))
    assert shards(folder) == shards(tmp_path / "other/marqo/photos")


@pytest.mark.parametrize("of", [lambda name: name.split("/")[-1], lambda name: name.split("/")[-1].split(".")[0]])
def test_photos_go_by_the_names_of_their_files_too(dataset, bring, of):
    train = list(dataset["train"].ids)
    with pytest.raises(InputError, match=r"names '1(\.png)?', which may be 'train/train/1.png' or 'validation/"):
        bring(dataset, frame(train, of))
    for split in ("validation", "test"):
        shutil.rmtree(dataset.folder / "images" / split)
    folder = bring(dataset, frame(train, of))
    found = features(folder, dataset)["train"]
    assert found == {name: numbers(name).tolist() for name in train}


def test_splits_that_number_their_photos_are_told_apart(photos, bring):
    names = [f"{split}/{name}" for split in photos.splits for name in photos[split].ids]
    folder = bring(photos, frame(names))
    for split, found in features(folder, photos).items():
        assert found == {name: numbers(f"{split}/{name}").tolist() for name in photos[split].ids}
    with pytest.raises(InputError, match=r"names '1', which may be 'train/1' or 'validation/1': write the ids .* so\."):
        bring(photos, frame(photos["train"].ids))


def test_what_is_missing_or_unknown_is_told_and_photos_without_a_row_fail_with_that_reason(dataset, bring, capsys):
    names = ids(dataset)
    folder = bring(dataset, frame([*names[2:], "train/99.png"]))
    told = capsys.readouterr().err
    assert "22 of 24 photos have 3 numbers each" in told
    assert f"2 of 24 photos are not in features.parquet, for example {names[0]!r} of train." in told
    assert "1 of 23 rows of features.parquet are of no photo here, for example that of 'train/99.png'." in told
    located = table.locate(folder, dataset["train"])
    assert located.failures == dict.fromkeys(names[:2], "not in features.parquet") and not located.missing
    imported.renew("marqo", folder, dataset)
    assert "marqo: 2 of 12 train photos have no features: not in features.parquet 2" in capsys.readouterr().err
    assert table.locate(folder, dataset["train"]).failures == located.failures


def test_photos_that_cannot_be_read_fail_as_ever(dataset, bring, capsys):
    (dataset.folder / "images/train/3.png").unlink()
    again = read_dataset(dataset.folder)
    folder = bring(again, frame(ids(again)))
    assert "1 of 24 photos are in features.parquet, and cannot be read themselves, for example 'train/3.png'" in (
        capsys.readouterr().err
    )
    assert table.locate(folder, again["train"]).failures == {"train/3.png": "no file"}


def test_photos_none_of_which_can_be_read_are_refused(dataset, bring, tmp_path):
    shutil.rmtree(dataset.folder / "images")
    with pytest.raises(InputError, match=r"None of the photos that .* has rows of can be read in .*: put them there"):
        bring(read_dataset(dataset.folder), frame(ids(dataset)))
    assert not (tmp_path / "store").exists()


def test_no_id_of_a_photo_is_refused_before_anything_is_made(dataset, bring, tmp_path):
    with pytest.raises(InputError, match=r"has no row of any photo: its ids are such as 'x', those of train such as"):
        bring(dataset, frame(["x", "y"]))
    assert not (tmp_path / "store").exists()


def test_the_same_table_again_changes_no_byte(dataset, bring, capsys):
    folder = bring(dataset, frame(ids(dataset)))
    before = files(folder)
    assert files(bring(dataset, frame(ids(dataset)))) == before
    assert "24 of 24 photos have 3 numbers each; no row is new." in capsys.readouterr().err
    imported.renew("marqo", folder, dataset)
    assert files(folder) == before


def test_a_changed_table_makes_new_rows_and_says_so(dataset, bring, capsys):
    made = frame(ids(dataset))
    folder = bring(dataset, made)
    whole, shards = table.content_digest(folder, dataset), files(folder / "0001")
    made.loc[:1, "x0"] = 7
    bring(dataset, made)
    told = capsys.readouterr().err
    assert "24 of 24 photos have 3 numbers each; 2 new rows." in told and "2 of 24 photos had other numbers" in told
    assert files(folder / "0001") == shards and len(table.read(folder).digests) == 26
    found = features(folder, dataset)["train"]
    assert [found[name][0] for name in made["id"][:3]] == [7, 7, made["x0"][2]]
    assert table.content_digest(folder, dataset) != whole  # models are trained anew


def test_a_table_of_new_photos_alone_leaves_the_others_what_they_have(dataset, bring, capsys):
    names = ids(dataset)
    folder = bring(dataset, frame(names[:10]))
    bring(dataset, frame(names[10:]))
    assert "10 of 24 photos are not in features.parquet, and have what was brought before" in capsys.readouterr().err
    for found in features(folder, dataset).values():
        assert found == {name: numbers(name).tolist() for name in found}


def test_equal_photos_share_a_row_that_one_of_them_lacks(dataset, bring):
    (dataset.folder / "images/train/2.png").write_bytes((dataset.folder / "images/train/1.png").read_bytes())
    again = read_dataset(dataset.folder)
    folder = bring(again, frame([name for name in ids(again) if name != "train/2.png"]))
    before = files(folder)
    found = features(folder, again)["train"]
    assert found["train/2.png"] == found["train/1.png"] == numbers("train/1.png").tolist()
    imported.renew("marqo", folder, again)
    assert files(folder) == before


def test_equal_photos_may_have_rows_of_their_own_and_keep_them(dataset, bring):
    (dataset.folder / "images/train/2.png").write_bytes((dataset.folder / "images/train/1.png").read_bytes())
    again = read_dataset(dataset.folder)
    folder = bring(again, frame(ids(again)))
    changed = frame(["train/1.png"]).assign(x0=7)
    for step in (lambda: imported.renew("marqo", folder, again), lambda: bring(again, changed)):
        step()
        assert features(folder, again)["train"]["train/2.png"] == numbers("train/2.png").tolist()
    assert features(folder, again)["train"]["train/1.png"] == [7, *numbers("train/1.png")[1:]]


def test_equal_photos_of_one_id_in_two_splits_keep_their_own_rows(photos, bring, capsys):
    same = (photos.folder / "images/train/1.png").read_bytes()
    (photos.folder / "images/validation/1.png").write_bytes(same)
    again = read_dataset(photos.folder)
    named = [f"{name}/{each}" for name, split in again.splits.items() for each in split.ids]
    bring(again, frame(named))
    before, _ = features(bring(again, frame(named)), again), capsys.readouterr()
    assert before["validation"]["1"] == numbers("validation/1").tolist() != before["train"]["1"]
    bring(again, frame(named))
    assert "had other numbers before" not in capsys.readouterr().err


def test_a_shard_that_is_gone_has_to_be_brought_again(dataset, bring):
    folder = bring(dataset, frame(ids(dataset)))
    (folder / "0001/00000.h5").unlink()
    with pytest.raises(InputError, match="none of 24 of 24 photos"):
        imported.renew("marqo", folder, dataset)
    bring(dataset, frame(ids(dataset)))
    assert features(folder, dataset)["test"] == {name: numbers(name).tolist() for name in dataset["test"].ids}
    assert len(table.read(folder).digests) == 24


def test_renamed_photos_keep_their_rows_and_new_ones_have_to_be_brought(dataset, bring):
    folder, listed = bring(dataset, frame(ids(dataset))), dataset.folder / "photos.csv"
    (dataset.folder / "images/train/1.png").rename(dataset.folder / "images/train/first.png")
    listed.write_text(listed.read_text().replace("train/1.png,train", "train/first.png,validation"))
    renamed = read_dataset(dataset.folder)
    imported.renew("marqo", folder, renamed)
    assert features(folder, renamed)["validation"]["train/first.png"] == numbers("train/1.png").tolist()
    changed = dataset.folder / "images/test/1.png"
    changed.write_bytes((dataset.folder / "images/test/2.png").read_bytes() + b" ")
    told = (
        r"marqo holds features .* made elsewhere, and none of 1 of 24 photos, for example 'test/1.png' of test: bring"
    )
    for options in ({}, {"is_dry": True}):
        with pytest.raises(InputError, match=rf"{told} them with `mlob import TABLE --name marqo`"):
            imported.renew("marqo", folder, read_dataset(dataset.folder), **options)


def test_without_a_store_it_says_how_features_come(dataset, tmp_path):
    with pytest.raises(InputError, match=r"none of 24 of 24 photos, .* `mlob import TABLE --name marqo`"):
        imported.renew("marqo", tmp_path / "store/marqo/photos", dataset)


def test_a_dry_run_makes_nothing(dataset, bring, tmp_path, capsys):
    bring(dataset, frame(ids(dataset)), is_dry=True)
    assert "24 of 24 photos have 3 numbers each; 24 new rows." in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_columns_go_by_their_names(dataset, bring, tmp_path):
    made = frame(ids(dataset))
    folder = bring(dataset, made)
    before = files(folder)
    assert files(bring(dataset, made[["x2", "id", "x0", "x1"]])) == before
    for odd in (made.rename(columns={"x1": "y"}), made.assign(y=1)):
        with pytest.raises(InputError, match=r"has other columns than the features in .*, for example '"):
            bring(dataset, odd)
    with pytest.raises(InputError, match=r"has 2 numbers a row, and .* 3: give other features a name of their own"):
        bring(dataset, pd.DataFrame({"id": made["id"], "v": [[1.0, 2.0]] * len(made)}))


def test_photos_outside_are_found_by_their_files_names(tmp_path, dataset, bring):
    folder = bring(dataset, frame(ids(dataset)))
    places = [tmp_path / "new" / name for name in ("a.jpg", "b.jpg", "c.jpg")]
    frame(["a", "b.jpg"])[["x1", "x0", "x2", "id"]].to_parquet(tmp_path / "new.parquet")
    read = vectors.read(tmp_path / "new.parquet")
    rows = imported.rows_beside(places, read)
    assert rows == {places[0]: 0, places[1]: 1}
    assert imported.in_order(folder, read)[[0, 1]].tolist() == [numbers("a").tolist(), numbers("b.jpg").tolist()]


def test_a_store_says_what_it_is_and_knows_nothing_of_photos(dataset, bring):
    folder = bring(dataset, frame(ids(dataset)))
    made = store.fingerprint(folder)
    assert (made.backbone, made.runtime, made.precision) == ("imported", "none", "float16")
    assert json.loads((folder / "columns.json").read_text()) == {"count": 3, "names": ["x0", "x1", "x2"]}
    assert table.first_whole([folder], dataset) == {}


@pytest.mark.parametrize(
    "wrong",
    [FeatureSet("imported", pool="max"), FeatureSet("imported", size="large"), FeatureSet("imported", text=Text())],
)
def test_a_recipe_of_it_has_no_other_field(wrong):
    backbones.check(FeatureSet("imported"))
    with pytest.raises(InputError, match=r"has no other field: expected FeatureSet\("):
        backbones.check(wrong)
    with pytest.raises(InputError, match="The network reads pixels, or maps"):
        beginning.check(FeatureSet("imported"), FeatureSet("mobilenet"))
