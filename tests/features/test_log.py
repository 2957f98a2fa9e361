"""The notes of an extraction: times that add up, over shards and over stores."""

import pathlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlob.errors import InputError
from mlob.features import log

FACTS = {"weights": "imagenet", "parameters": 1000, "processor": "made up"}
SECONDS = {"read": 0.5, "forward": 1.75, "write": 0.25}


def shard(folder: pathlib.Path, number: int = 0, split: str = "train") -> pathlib.Path:
    (folder / split).mkdir(parents=True, exist_ok=True)
    return folder / split / f"{number:05}.h5"


def test_what_is_noted_is_read(tmp_path):
    log.write(shard(tmp_path), photos=240, seconds=SECONDS, **FACTS)
    assert log.read(tmp_path) == log.Log(**FACTS, photos=240, stages=SECONDS)
    assert log.read(tmp_path).seconds == 2.5


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4096), *[st.integers(0, 1000)] * 3), min_size=1, max_size=5))
def test_photos_and_stages_add_up_over_shards_and_splits(tmp_path_factory, shards):
    store = tmp_path_factory.mktemp("store")
    paths = [shard(store, number, split) for number in range(len(shards)) for split in ("train", "validation")]
    for path, (photos, *seconds) in zip(paths, (one for one in shards for _ in range(2)), strict=True):
        log.write(path, photos=photos, seconds=dict(zip(log.STAGES, seconds, strict=True)), **FACTS)
    photos, *seconds = (2 * sum(column) for column in zip(*shards, strict=True))
    found = log.read(store)
    assert (found.photos, [found.stages[stage] for stage in log.STAGES]) == (photos, seconds)
    assert log.stages(paths) == found.stages
    assert log.stages(paths[:1])["read"] == shards[0][1]


def test_the_rate_of_a_feature_set_is_over_all_its_stores(tmp_path):
    for name, photos in {"one": 100, "other": 400}.items():
        log.write(shard(tmp_path / name), photos=photos, seconds=SECONDS, **FACTS)
    assert log.rate([tmp_path / "one", tmp_path / "other"]) == 500 / 5
    assert log.rate([tmp_path / "one"]) == 100 / 2.5
    assert log.rate([tmp_path / "none"]) is log.rate([]) is None


def test_a_store_without_notes_is_unknown_and_took_no_time(tmp_path):
    found = log.read(tmp_path)
    assert (found.weights, found.processor, found.photos, found.seconds) == ("unknown", "unknown", 0, 0)


def test_files_that_are_no_notes_are_left_alone(tmp_path):
    log.write(shard(tmp_path), photos=1, seconds=SECONDS, **FACTS)
    (tmp_path / "train/notes.json").write_text("mine")
    (tmp_path / "train.json").write_text("mine")
    assert log.read(tmp_path).photos == 1


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"photos": "many"}', "\0"])
def test_a_damaged_note_is_refused_by_name(tmp_path, text):
    path = shard(tmp_path).with_suffix(".json")
    path.write_text(text)
    with pytest.raises(InputError, match=r"train/00000\.json"):
        log.read(tmp_path)


def test_the_summary_tells_where_the_time_went():
    told = log.summary({"read": 1234.56, "forward": 0, "write": 0.04})
    assert told == "1,234.6 s waiting for photos, 0.0 s in the network, 0.0 s writing"
