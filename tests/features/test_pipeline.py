import dataclasses
import pathlib

import numpy as np

from mlob.data import images
from mlob.features import decoding, pipeline

ANYWHERE = pathlib.Path("00000.h5")  # no shard is written here


class Mean:
    """Stands for a network: a photo's features are its mean colour; it notes how many photos came at a time."""

    finish = None

    def __init__(self, batch=1, is_on_gpu=False):
        self.batch, self.is_on_gpu, self.counts = batch, is_on_gpu, []

    def __call__(self, photos):
        self.counts.append(len(photos))
        return np.reshape([photo.mean(axis=(0, 1), dtype=np.float32) for photo in photos], (-1, 3))


def slices(photos, count=5, feature_sets=("one",)):
    """The train photos in slices of `count`."""
    ids, places = photos["train"].ids, photos.photos("train")
    return [
        pipeline.Slice(
            tuple(ids[start : start + count]), places[start : start + count], dict.fromkeys(feature_sets, ANYWHERE)
        )
        for start in range(0, len(ids), count)
    ]


def nothing_known(extractors):
    return {name: pipeline.Known() for name in extractors}


def made_shards(photos, extractors, **options):
    """All shards of the train photos: {name: [shard of each slice]}."""
    found = {name: [] for name in extractors}
    split = slices(photos, feature_sets=tuple(extractors))
    for made in pipeline.make_shards(split, extractors, 32, **{"known": nothing_known(extractors)} | options):
        for name, shard in made.shards.items():
            found[name].append(shard)
    return found


def test_slices_cover_the_photos_in_order_and_the_chunk_changes_nothing(photos, monkeypatch):
    whole = made_shards(photos, {"one": pipeline.Extractor("whole", Mean())})["one"]
    assert [name for shard in whole for name in shard.ids] == list(photos["train"].ids)
    monkeypatch.setattr(pipeline, "CHUNK", 2)
    parts = made_shards(photos, {"one": pipeline.Extractor("whole", Mean())})["one"]
    for one, other in zip(whole, parts, strict=True):
        assert one.features.tobytes() == other.features.tobytes() and one.ids == other.ids


def test_feature_sets_of_one_size_share_the_decoding(photos, monkeypatch):
    read = []

    def photo(place, size, views, decode=decoding.photo):
        read.append(place)
        return decode(place, size, views)

    monkeypatch.setattr(decoding, "photo", photo)
    both = made_shards(photos, {name: pipeline.Extractor("whole", Mean()) for name in ("one", "two")})
    assert sorted(read) == sorted(photos.photos("train"))
    for one, two in zip(both["one"], both["two"], strict=True):
        assert one.features.tobytes() == two.features.tobytes()


def test_a_slice_goes_only_to_the_feature_sets_that_lack_it(photos):
    one, two = slices(photos, 6)
    two = dataclasses.replace(two, shards={"b": ANYWHERE})
    extractors = {"a": pipeline.Extractor("whole", Mean()), "b": pipeline.Extractor("whole", Mean())}
    one = dataclasses.replace(one, shards={"a": ANYWHERE, "b": ANYWHERE})
    made = pipeline.make_shards([one, two], extractors, 32, known=nothing_known(extractors))
    found = [tuple(each.shards) for each in made]
    assert found == [("a", "b"), ("b",)]


def test_each_feature_set_sees_its_own_view_of_the_photo(photos):
    class Corner(Mean):
        def __call__(self, photos):
            return np.float32([photo[16, 0] for photo in photos]).reshape(-1, 3)

    class OtherCorner(Mean):
        def __call__(self, photos):
            return np.float32([photo[16, -1] for photo in photos]).reshape(-1, 3)

    flipped = pipeline.Extractor("flip", Corner()), pipeline.Extractor("whole", OtherCorner())
    found = made_shards(photos, dict(zip(("flip", "whole"), flipped, strict=True)))
    assert found["flip"][0].features.tolist() == found["whole"][0].features.tolist()


def test_a_chunk_holds_several_of_the_largest_batch(photos, monkeypatch):
    monkeypatch.setattr(pipeline, "CHUNK", 1)
    network = Mean(batch=1)
    made_shards(photos, {"one": pipeline.Extractor("whole", network)})
    assert max(network.counts) == pipeline.BATCHES


def test_photos_that_cannot_be_read_leave_a_reason_and_a_slice_without_photos_has_no_rows(photos):
    for place in photos.photos("train")[:5]:
        place.write_bytes(b"")
    first = made_shards(photos, {"one": pipeline.Extractor("whole", Mean())})["one"][0]
    assert first.ids == () and first.features.shape == (0, 3) and set(first.failures.values()) == {"empty file"}


def test_photos_of_equal_bytes_go_through_a_network_once_and_one_that_is_known_does_not(photos):
    first, *_, last = photos.photos("train")
    last.write_bytes(first.read_bytes())
    network, known = Mean(), pipeline.Known(np.array([7], np.uint64))
    shards = made_shards(photos, {"one": pipeline.Extractor("whole", network)}, known={"one": known})["one"]
    ids = [name for shard in shards for name in shard.ids]
    assert ids == list(photos["train"].ids[:-1]) and sum(network.counts) == len(ids)
    assert all(len(shard.ids) == len(shard.features) == len(shard.digests) for shard in shards)
    there = pipeline.Known(np.concatenate([shard.digests for shard in shards[:1]]))
    rest = made_shards(photos, {"one": pipeline.Extractor("whole", Mean())}, known={"one": there})["one"]
    assert [name for shard in rest for name in shard.ids] == ids[5:]
    assert not known.add(7) and not there.add(int(shards[0].digests[0])) and known.add(8) and not known.add(8)


def test_what_failed_is_known_by_its_bytes(photos):
    broken = photos.photos("train")[1]
    broken.write_bytes(b"no photo")
    photos.photos("train")[2].write_bytes(b"")
    shard = made_shards(photos, {"one": pipeline.Extractor("whole", Mean())})["one"][0]
    assert [*shard.failures] == ["2", "3"] and shard.failures["3"] == "empty file"
    assert shard.failed_digests.tolist() == [images.content_digest(b"no photo"), 0]


def test_features_beyond_float16_are_its_largest_numbers(photos):
    class Huge(Mean):
        def __call__(self, photos):
            return np.tile(np.float32([1e9, -1e9]), (len(photos), 1))

    features = made_shards(photos, {"one": pipeline.Extractor("whole", Huge())})["one"][0].features
    assert np.isfinite(features).all() and abs(features).min() == np.finfo(np.float16).max


def test_the_seconds_are_those_of_the_stages(photos):
    extractors = {"one": pipeline.Extractor("whole", Mean())}
    first = next(pipeline.make_shards(slices(photos), extractors, 32, known=nothing_known(extractors)))
    seconds = first.seconds["one"]
    assert set(seconds) == {"read", "forward"} and min(seconds.values()) >= 0


def test_a_network_on_a_gpu_is_fed_by_processes_and_gives_the_same_features(photos, monkeypatch):
    expected = made_shards(photos, {"one": pipeline.Extractor("flip", Mean())})["one"]
    monkeypatch.setattr(decoding, "in_threads", None)
    found = made_shards(photos, {"one": pipeline.Extractor("flip", Mean(is_on_gpu=True))})["one"]
    for one, other in zip(expected, found, strict=True):
        assert one.features.tobytes() == other.features.tobytes() and one.digests.tobytes() == other.digests.tobytes()
