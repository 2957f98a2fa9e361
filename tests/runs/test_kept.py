import dataclasses
import json

import pytest

from mlob import decisions, recipes
from mlob.features import store
from mlob.recipes import Crop, Ensemble, Experiment, FeatureSet, Head
from mlob.runs import kept
from mlob.runs.job import plain

SETS = {"one": FeatureSet("mobilenet", pool="blocks"), "two": FeatureSet("mobilenet", precision="int8")}


@pytest.fixture
def stores(made, write_store, tmp_path):
    folders = {name: write_store(tmp_path / "features" / name, made, seed=seed) for seed, name in enumerate(SETS)}
    for suffix in ("bin", "xml"):
        (folders["two"] / f"int8.{suffix}").write_text(f"a {suffix}")
    return folders


def test_what_is_kept_is_read_back_and_each_store_has_its_fingerprint_and_its_quantised_model(made, stores, tmp_path):
    assert kept.read(tmp_path / "ensemble") is None
    wanted = kept.Kept(dataclasses.replace(made.labels, ids_are_own=True), SETS)
    kept.write(tmp_path / "ensemble", wanted, stores)
    assert kept.read(tmp_path / "ensemble") == wanted
    for name, folder in stores.items():
        assert store.fingerprint(kept.store_of(tmp_path / "ensemble", name)) == store.fingerprint(folder) is not None
    assert (kept.store_of(tmp_path / "ensemble", "two") / "int8.xml").read_text() == "a xml"
    assert not list(kept.store_of(tmp_path / "ensemble", "one").glob("int8*"))


def test_what_has_changed_is_kept_anew_and_nothing_else_is_touched(made, stores, tmp_path):
    folder, first = tmp_path / "ensemble", kept.Kept(made.labels, SETS)
    kept.write(folder, first, stores)
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    kept.write(folder, first, stores)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")} == written
    changed = dataclasses.replace(store.fingerprint(stores["two"]), precision="int8", calibration="of other photos")
    store.declare(stores["two"], changed)
    (stores["two"] / "int8.xml").write_text("another")
    kept.write(folder, first, stores)
    assert store.fingerprint(kept.store_of(folder, "two")) == changed
    assert (kept.store_of(folder, "two") / "int8.xml").read_text() == "another"


def test_a_head_that_crops_photos_is_kept_and_stands_in_for_the_one_that_the_recipe_names(made, stores, tmp_path):
    (tmp_path / "head.keras").write_text("a head")
    cropped = FeatureSet("efficientnet_lite0", crop=Crop(str(tmp_path / "head.keras")))
    folder, wanted = tmp_path / "ensemble", kept.Kept(made.labels, {"one": SETS["one"], "two": cropped})
    kept.write(folder, wanted, stores)
    (tmp_path / "head.keras").unlink()
    assert kept.feature_set_of(folder, "one", kept.read(folder)) == SETS["one"]
    found = kept.feature_set_of(folder, "two", kept.read(folder))
    with open(found.crop.head) as head:
        assert head.read() == "a head"
    assert dataclasses.replace(found, crop=cropped.crop) == cropped
    assert not (kept.store_of(folder, "one") / "head.keras").exists()


def test_recipes_that_have_changed_since_are_named(tmp_path):
    experiment, recipe = Experiment(("one",)), Ensemble()
    (tmp_path / "wide").mkdir()
    (tmp_path / "wide/recipe.json").write_text(json.dumps({"recipe": recipes.plain(experiment)}))
    identity = plain({"recipe": decisions.plain_ensemble(recipe)})
    ensemble, runs = type("Ensembled", (), {"identity": identity}), {"wide": tmp_path / "wide"}
    assert kept.changed(ensemble, recipe, runs, {"wide": experiment}) == []
    deeper, other = dataclasses.replace(experiment, head=Head(units=(8, 8))), Ensemble(folds=7)
    assert kept.changed(ensemble, other, runs, {"wide": deeper}) == ["ensemble.folds", "wide.head.units"]
    macro = Ensemble(metric="macro_f1")
    assert kept.changed(ensemble, macro, runs, {"wide": experiment}) == ["ensemble.metric"]
    assert kept.changed(ensemble, recipe, runs, {"other": experiment}) == ["wide", "other"]
