import dataclasses
import json

import pytest

from mlob.runs import anew, results

IDENTITY = {
    "recipe": {"head": {"units": [16], "dropout": 0.5}, "stores": ["one"]},
    "data": "",
    "fingerprint": {"one": {"precision": "float32", "size": 224}},
    "features": {"one": "a" * 64},
}


@pytest.fixture
def product(made, tmp_path):
    """Write what shaped a product; give the function that says why it is made anew."""

    def why(wanted, dataset=made, **found):
        (tmp_path / "wide.json").write_text(json.dumps({**IDENTITY, "data": made.digest, **found}))
        wanted = {**IDENTITY, "data": dataset.digest, **wanted}
        return anew.why(tmp_path / "wide.json", wanted, tmp_path / "data", dataset)

    return why


def without_photos(made, count):
    """The data set without the first photos of train."""
    train = made["train"]
    rest = dataclasses.replace(train, ids=train.ids[count:], urls=train.urls[count:], annotations=train.targets[count:])
    return dataclasses.replace(made, splits={**made.splits, "train": rest})


def test_a_field_is_told_with_both_values(product):
    recipe = {"head": {"units": [32], "dropout": 0.5}, "stores": ["one"], "seed": 1}
    assert product({"recipe": recipe}) == "head.units from [16] to [32]; seed from none to 1"


def test_nothing_is_told_where_nothing_has_changed_or_nothing_was_made(product, made, tmp_path):
    assert product({}) == ""
    assert anew.why(tmp_path / "nowhere.json", IDENTITY, tmp_path / "data", made) == ""


def test_features_are_told_by_their_store(product):
    assert product({"features": {"one": "b" * 64}}) == "features of one"
    told = product({"fingerprint": {"one": {"precision": "int8", "size": 224}}, "features": {"one": "b", "two": "c"}})
    assert told == "precision of one from float32 to int8; features of one; features of two"


def test_photos_are_counted_where_they_were_noted(product, made, tmp_path):
    fewer = without_photos(made, 12)
    assert product({}, fewer) == "the photos, or their labels"
    anew.note(tmp_path / "data", made)
    assert product({}, fewer) == "train photos: 12 went"


def test_what_shaped_it_may_stand_under_a_key_and_a_version_beside_it(product, made):
    wanted = {"data": "another"}
    assert product(wanted, identity={**IDENTITY, "data": made.digest}) == "the photos, or their labels"
    assert (
        product({}, version=results.VERSION - 1)
        == f"wide.json is of version {results.VERSION - 1}, not {results.VERSION}"
    )


def test_of_many_differences_the_first_are_told(product):
    recipe = {f"field {number}": number for number in range(20)}
    told = product({"recipe": recipe})
    assert told.count(";") == anew.MOST and told.endswith(f"; {20 + 3 - anew.MOST - 1} more")


def test_notes_that_no_run_was_made_of_are_removed(made, tmp_path):
    sets = [made, *(without_photos(made, count) for count in (1, 2))]
    (tmp_path / "wide").mkdir()
    (tmp_path / "wide/recipe.json").write_text(json.dumps({"data": made.digest}))
    for dataset in sets:
        anew.note(tmp_path / "data", dataset)
    kept = {f"photos-{dataset.digest[:16]}.npz" for dataset in (sets[0], sets[2])}
    assert {path.name for path in (tmp_path / "data").iterdir()} == kept
