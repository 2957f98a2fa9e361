"""What is planned is what is missing: nothing twice, nothing left out, and no network loaded to know it."""

import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.features import contents, deliveries, extract, log, plan, runtimes, store, weights
from mlob.recipes import FeatureSet

RECIPE = FeatureSet("mobilenet", weights="random")
SOURCE = weights.Source("imagenet", None, "digest")
CHOICE = runtimes.Choice("keras", "float32")


def planned(photos, folder, recipe=RECIPE):
    return plan.plan({"set": (recipe, folder)}, photos)["set"]


@pytest.fixture
def extracted(photos, network, tmp_path):
    """The folder of a store that is whole."""
    extract.extract({"set": (RECIPE, tmp_path / "store")}, photos)
    return tmp_path / "store"


def test_of_no_store_every_photo_is_lacking_once_in_the_order_of_the_annotations(photos, network, tmp_path):
    lacking = planned(photos, tmp_path / "store")
    for split, files in lacking.lacking.items():
        assert files.tolist() == contents.look(photos)[split].files.tolist() and len(set(files)) == len(files)
    assert lacking.photos == sum(len(split.ids) for split in photos.splits.values()) and not lacking.slices
    assert lacking.fingerprint is lacking.rate is None and not (tmp_path / "store").exists()


def test_a_whole_store_lacks_nothing_and_a_plan_loads_no_network(photos, network, extracted, monkeypatch):
    monkeypatch.setattr(weights, "network", None)
    lacking = planned(photos, extracted)
    assert (lacking.slices, lacking.photos, lacking.summary(RECIPE)) == ((), 0, "complete")
    assert lacking.fingerprint == store.fingerprint(extracted) and lacking.source == weights.random()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_what_is_removed_is_what_is_lacking_and_extraction_makes_the_same_bytes(photos, network, extracted, data):
    before = {path: path.read_bytes() for path in sorted(extracted.glob("*/*.h5"))}
    removed = data.draw(st.sets(st.sampled_from(sorted(before)), max_size=len(before) - 1))
    for path in removed:
        path.unlink()
    lacking = planned(photos, extracted)
    assert {path for part in lacking.slices for path in part.shards.values()} == removed
    network.seen = 0
    extract.extract({"set": (RECIPE, extracted)}, photos)
    assert network.seen == lacking.photos
    assert {path: path.read_bytes() for path in sorted(extracted.glob("*/*.h5"))} == before


def test_the_time_left_is_at_the_rate_of_all_stores_of_the_set(photos, network, tmp_path):
    assert planned(photos, tmp_path / "set/mine").summary(RECIPE).endswith("no rate measured yet")
    (tmp_path / "set/other/train").mkdir(parents=True)
    facts = {"weights": "random", "parameters": 1, "processor": "made up"}
    seconds = {"read": 1, "forward": 2, "write": 1}
    log.write(tmp_path / "set/other/train/00000.h5", photos=48, seconds=seconds, **facts)
    lacking = planned(photos, tmp_path / "set/mine")
    assert lacking.rate == 12
    assert (
        lacking.summary(RECIPE)
        == "24 photos through mobilenet (weights: random), about 2 s at the measured 12.0 photos/s"
    )


def test_stale_parts_of_a_killed_extraction_are_no_shards(photos, network, extracted):
    path = store.shard_path(extracted / "0001", 1)
    path.rename(path.with_name(f"{path.name}.part"))
    assert [part.shards for part in planned(photos, extracted).slices] == [{"set": path}]


def test_a_slice_whose_photos_have_rows_meanwhile_is_passed_over(photos, network, extracted):
    deliveries.begin(extracted, 2, [contents.look(photos)["train"].files])
    assert planned(photos, extracted).slices == () and planned(photos, extracted).photos == 0


def test_of_new_photos_that_are_equal_one_is_lacking(photos, network, extracted):
    home = photos.folder / "images"
    data = (home / "train/1.png").read_bytes() + b"more"
    for name in ("train/2.png", "train/3.png", "test/4.png"):
        (home / name).write_bytes(data)
    lacking = planned(read_dataset(photos.folder), extracted)
    assert lacking.photos == 1 and [len(files) for files in lacking.lacking.values()] == [1, 0, 0]


def test_of_new_photos_that_are_equal_one_is_extracted_and_counted(photos, network, extracted, capsys):
    home = photos.folder / "images"
    for name in ("train/2.png", "test/4.png"):
        (home / name).write_bytes((home / "train/1.png").read_bytes() + b"more")
    network.seen = 0
    capsys.readouterr()
    extract.extract({"set": (RECIPE, extracted)}, read_dataset(photos.folder))
    told = capsys.readouterr().err
    assert network.seen == 1 and "set: 1 photo through" in told and "set: 1/1 photos" in told
    assert deliveries.next_number(extracted) == 3


def test_a_photo_that_one_store_has_begun_is_read_for_another(photos, network, extracted, tmp_path):
    extract.extract({"set": (RECIPE, tmp_path / "other")}, photos)
    file = photos.folder / "images/train/1.png"
    file.write_bytes(file.read_bytes() + b"more")
    begun = planned(read_dataset(photos.folder), extracted)
    deliveries.begin(extracted, begun.delivery, [*begun.lacking.values()])
    sets = {"one": (RECIPE, extracted), "other": (RECIPE, tmp_path / "other")}
    plans = plan.plan(sets, read_dataset(photos.folder))
    assert {name: (one.photos, one.lacks_delivery) for name, one in plans.items()} == {
        "one": (1, False),
        "other": (1, True),
    }


def test_a_file_that_one_store_knows_to_be_broken_is_not_planned_for_a_new_one(photos, network, tmp_path):
    (photos.folder / "images/test/3.png").write_bytes(b"")
    extract.extract({"set": (RECIPE, tmp_path / "one")}, photos)
    sets = {name: (RECIPE, tmp_path / name) for name in ("one", "other")}
    new = plan.plan(sets, read_dataset(photos.folder))["other"]
    assert new.photos == 23 and new.indices["test"].failures == {"3": "empty file"}


@pytest.mark.parametrize("field, value", [("pool", "max"), ("backbone", "resnet50"), ("view", "flip")])
def test_a_store_of_another_recipe_is_refused_by_the_field_that_differs(photos, network, extracted, field, value):
    with pytest.raises(InputError, match=field):
        planned(photos, extracted, dataclasses.replace(RECIPE, **{field: value}))


def test_a_split_none_of_whose_photos_is_there_is_refused_before_anything_is_made(photos, network, tmp_path):
    for path in (photos.folder / "images/test").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="None of the 5 test photos lies in"):
        planned(read_dataset(photos.folder), tmp_path / "store")
    assert not (tmp_path / "store").exists()


CHANGES = {
    "backbone": "resnet50", "size": "large", "layer": "conv_pw_5_relu", "pool": "max", "view": "flip",
}  # fmt: skip


@pytest.mark.parametrize("field, value", CHANGES.items(), ids=CHANGES)
def test_whatever_changes_features_changes_the_fingerprint(field, value):
    plain = plan.fingerprint(RECIPE, SOURCE, CHOICE)
    assert plan.fingerprint(dataclasses.replace(RECIPE, **{field: value}), SOURCE, CHOICE) != plain


def test_weights_runtime_precision_and_calibration_are_in_the_fingerprint():
    others = [
        plan.fingerprint(RECIPE, dataclasses.replace(SOURCE, digest="other"), CHOICE),
        plan.fingerprint(RECIPE, SOURCE, runtimes.Choice("openvino", "float32")),
        plan.fingerprint(RECIPE, SOURCE, runtimes.Choice("keras", "float16")),
        plan.fingerprint(RECIPE, SOURCE, CHOICE, calibration="photos"),
        plan.fingerprint(RECIPE, SOURCE, CHOICE),
    ]
    assert len(set(others)) == len(others)


@pytest.mark.parametrize("settled", [{}, {"runtime": "keras"}, {"runtime": "keras", "precision": "float32"}])
def test_what_recipe_and_weights_ask_for_is_part_of_the_fingerprint_that_is_made(settled):
    recipe = dataclasses.replace(RECIPE, **settled)
    asked, made = plan.asked_for(recipe, SOURCE), plan.fingerprint(recipe, SOURCE, CHOICE)
    assert asked.items() <= dataclasses.asdict(made).items()  # `fields` leaves out a detector that there is not
    assert set(settled) <= set(asked) and plan.asked_for(recipe, None).keys() == asked.keys() - {"weights"}
