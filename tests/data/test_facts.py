import dataclasses
import json
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mlob.data import digests, duplicates, facts, factsheet, prevalence
from mlob.data.dataset import DataSet, Split
from mlob.data.duplicates import Between, Differing, Seen, Within
from mlob.data.facts import SplitFacts, Spread
from mlob.data.prevalence import LabelFacts
from mlob.labels import UNKNOWN, Labels

LABELS = Labels((2, 5, 9), ("Dress", "Red", "Hat"), ("category", "colour", "category"))


def split(name, targets, urls=None):
    targets = None if targets is None else np.array(targets, np.uint8).reshape(-1, len(LABELS))
    count = len(urls if targets is None else targets)
    ids = tuple(f"{name[0]}{row}" for row in range(count))
    return Split(name, ids, tuple([()] * count if urls is None else urls), targets)


def data_set(*splits, labels=LABELS):
    return DataSet("made", pathlib.Path("made"), labels, {split.name: split for split in splits})


def seen(ids, digests, failures=None):
    return Seen(tuple(ids), np.array(digests, np.uint64), failures or {})


def two_splits(train, validation):
    return data_set(split("train", train), split("validation", validation))


def test_labels_and_photos_are_counted_in_all_and_by_split():
    found = facts.describe(
        data_set(split("train", [[1, 1, 0], [1, 0, 0], [0, 0, 0]]), split("test", None, [()] * 4)), {}
    )
    assert (found.photos, found.labels, found.labels_used) == (7, 3, 2)
    assert found.splits["train"] == SplitFacts(
        photos=3, labelled=2, unlabelled=1, labels_used=2, labels_a_photo=Spread(1.0, 0, 2), failed=None
    )
    assert found.splits["test"].labels_a_photo is None
    assert found.splits["test"].unlabelled == 4
    assert found.counts == {"train": [2, 1, 0]}


def test_the_text_says_what_photos_without_labels_mean_in_each_split():
    told = factsheet.summary(
        facts.describe(
            data_set(
                split("train", [[1, 0, 0], [0, 1, 0]]),
                split("validation", [[1, 0, 0], [0, 0, 0]]),
                split("test", None, [()] * 4),
            ),
            {},
        )
    )
    assert "validation: 1 of 2 photos has no labels: it counts as negative for every label" in told
    assert "test: none of the 4 photos has labels: they are predicted, not judged" in told
    assert "\ntrain: " not in told


def test_the_commonest_come_first_the_rarest_are_their_reverse_and_what_never_occurs_is_in_neither():
    found = facts.describe(two_splits([[1, 1, 0], [1, 0, 0]], [[1, 0, 0]]), {})
    assert [label.name for label in found.commonest] == ["Dress", "Red"]
    assert [label.name for label in found.rarest] == ["Red", "Dress"]
    assert found.commonest[0] == LabelFacts(2, "Dress", "category", {"train": 2, "validation": 1})
    assert [label.name for label in found.unseen] == ["Hat"]


def test_without_an_annotated_train_no_label_is_called_unseen():
    found = facts.describe(data_set(split("validation", [[1, 0, 0]])), {})
    assert found.unseen == [] and found.shifted is None


def test_equal_photos_are_found_by_content_between_splits_and_within_one():
    dataset = data_set(*(split(name, None, [()] * 3) for name in ("train", "validation", "test")))
    shards = {
        "train": seen(("t0", "t1", "t2"), (1, 2, 2)),
        "validation": seen(("v0", "v1", "v2"), (2, 3, 4)),
        "test": seen(("x0", "x1", "x2"), (3, 2, 9)),
    }
    found = facts.describe(dataset, shards)
    assert [(pair.split, pair.other, pair.ids) for pair in found.equal_between] == [
        ("test", "validation", ["x0", "x1"]),
        ("test", "train", ["x1"]),
        ("validation", "train", ["v0"]),
    ]
    assert {pair.by for pair in found.equal_between} == {"content"}
    assert found.equal_within == [Within("train", 1, [["t1", "t2"]])]


def test_photos_of_equal_bytes_with_other_labels_are_told_and_what_is_unknown_is_no_difference():
    dataset = two_splits([[1, 0, 0], [0, 1, 0], [1, 0, UNKNOWN], [0, 0, 1]], [[UNKNOWN, 0, 1], [1, 0, 1]])
    shards = {
        "train": seen(dataset["train"].ids, (5, 5, 5, 7)),
        "validation": seen(dataset["validation"].ids, (7, 5)),
    }
    found = facts.describe(dataset, shards)
    assert found.differing == Differing(2, [["t0", "t1"], ["t0", "v1"]])
    told = "2 photos have other labels than an earlier one of equal bytes (t0 and t1, t0 and v1): correct the labels."
    assert told in factsheet.summary(found)
    alone = data_set(dataset["train"])
    assert facts.describe(alone, {"train": seen(alone["train"].ids, (1, 2, 3, 4))}).differing is None


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=8), st.lists(st.integers(0, 5), max_size=8))
def test_equal_photos_agree_with_comparing_every_two(first, second):
    dataset = data_set(split("train", None, [()] * len(first)), split("test", None, [()] * len(second)))
    shards = {"train": seen(dataset["train"].ids, first), "test": seen(dataset["test"].ids, second)}
    found = facts.describe(dataset, shards)
    repeats = {"train": len(first) - len(set(first)), "test": len(second) - len(set(second))}
    assert sum(pair.photos for pair in found.equal_between) == sum(key in first for key in second)
    assert {each.split: each.photos for each in found.equal_within} == {k: n for k, n in repeats.items() if n}


def test_photos_that_are_not_at_hand_are_compared_by_web_address_but_never_by_a_path_in_the_folder():
    web, local = ("https://a.example/1.jpg",), ("images/1.jpg",)
    found = facts.describe(data_set(split("train", None, [web, local]), split("test", None, [local, web])), {})
    assert found.equal_between == [Between("test", "train", "address", 1, ["t1"])]


def test_failures_are_grouped_by_reason_and_show_ten_ids():
    failures = {f"f{row}": f"not decoded: truncated ({row} bytes left)" for row in range(12)} | {"b": "blank"}
    found = facts.describe(data_set(split("train", [[1, 0, 0]])), {"train": seen(["t0"], [1], failures)})
    failed = found.splits["train"].failed
    assert failed.photos == 13
    assert [(reason.reason, reason.photos) for reason in failed.reasons] == [
        ("not decoded: truncated", 12),
        ("blank", 1),
    ]
    assert failed.reasons[0].ids == [f"f{row}" for row in range(10)]


def test_a_shifted_label_is_found_with_its_shares_ratio_and_z():
    train = np.zeros((1000, 3))
    train[:100, 0] = 1
    train[:500, 1] = 1
    validation = np.zeros((400, 3))
    validation[:120, 0] = 1
    validation[:204, 1] = 1
    shifted = facts.describe(two_splits(train, validation), {}).shifted
    (label,) = shifted.strongest
    pooled = 220 / 1400
    assert (shifted.labels, shifted.tested, label.name) == (1, 2, "Dress")
    assert (label.train, label.validation, label.ratio) == (0.1, 0.3, 3.0)
    assert label.z == pytest.approx(0.2 / np.sqrt(pooled * (1 - pooled) * (1 / 1000 + 1 / 400)), abs=0.005)


@pytest.mark.parametrize("photos", [(0, 100), (100, 0), (0, 0)])
def test_a_label_of_which_a_split_knows_nothing_is_not_shifted(photos):
    counts = [np.array([photo // 2]) for photo in photos]
    known = [np.array([photo]) for photo in photos]
    assert prevalence.z_scores(counts[0], known[0], counts[1], known[1]).tolist() == [0]


def test_counts_of_one_are_no_shift():
    train, validation = np.zeros((9000, 3)), np.zeros((100, 3))
    validation[0, 0] = 1  # by chance, as one in 91 such labels
    assert prevalence.z_scores(np.zeros(1), 9000, np.ones(1), 100) > 9
    train[:10, 1], validation[:30, 1] = 1, 1
    shifted = facts.describe(two_splits(train, validation), {}).shifted
    assert [label.name for label in shifted.strongest] == [two_splits(train, validation).labels.names[1]]


def test_equal_shares_are_no_shift_and_labels_on_all_photos_do_not_divide_by_zero():
    everywhere = np.tile([1, 0, 0], (50, 1))
    assert facts.describe(two_splits(everywhere, everywhere), {}).shifted.labels == 0


def test_chance_alone_shifts_no_label_in_99_of_100_sets():
    generator, labels = np.random.default_rng(0), Labels(tuple(range(40)), ("x",) * 40, ("y",) * 40)
    alarms = 0
    for _ in range(100):
        drawn = (generator.random((1500, 40)) < 0.2).astype(np.uint8)
        parts = [
            Split(name, tuple(map(str, range(len(part)))), ((),) * len(part), part)
            for name, part in (("train", drawn[:1000]), ("validation", drawn[1000:]))
        ]
        alarms += facts.describe(data_set(*parts, labels=labels), {}).shifted.labels > 0
    assert alarms <= 4


def test_a_new_label_has_no_ratio_and_the_strongest_twenty_are_shown_of_all():
    labels = Labels(tuple(range(25)), tuple(f"label {j}" for j in range(25)), ("g",) * 25)
    train = Split("train", tuple(map(str, range(300))), ((),) * 300, np.zeros((300, 25), np.uint8))
    targets = (np.arange(300)[:, None] < 100 + np.arange(25)).astype(np.uint8)
    validation = dataclasses.replace(train, name="validation", annotations=targets)
    shifted = facts.describe(data_set(train, validation, labels=labels), {}).shifted
    assert (shifted.labels, len(shifted.strongest)) == (25, 20)
    assert shifted.strongest[0].name == "label 24" and shifted.strongest[0].ratio is None


def test_facts_are_json_and_their_text_holds_what_matters():
    dataset = two_splits(np.tile([1, 0, 0], (200, 1)), np.tile([0, 1, 0], (100, 1)))
    shards = {
        "train": seen(dataset["train"].ids, range(200), {"bad": "blank: one uniform colour"}),
        "validation": seen(dataset["validation"].ids, range(199, 299)),
    }
    found = facts.describe(dataset, shards)
    shown = factsheet.summary(found)
    assert json.loads(json.dumps(dataclasses.asdict(found))) == dataclasses.asdict(found)
    for part in (
        "300 photos",
        "1 of 200 train photos have no features: blank: one uniform colour 1 (bad)",
        "Never in train (group, photos in train/validation): Red (colour, 0/100)",
        "1 photo of validation also found in train, by content (v0)",
        "2 of 2 labels",
        "x 0.00",
        "new",
    ):
        assert part in shown


def photos(folder, contents):
    """A data set of the train photos {id: bytes, None where there is no file}."""
    (folder / "images/train").mkdir(parents=True)
    for name, content in contents.items():
        if content is not None:
            (folder / f"images/train/{name}.jpg").write_bytes(content)
    train = Split("train", tuple(contents), ((),) * len(contents), None)
    return DataSet("made", folder, LABELS, {"train": train})


def test_files_alone_tell_what_is_missing_empty_or_there_twice(tmp_path):
    contents = {"a": b"one", "b": b"longer", "c": b"one", "d": None, "e": b"two", "f": b"", "g": None}
    dataset = photos(tmp_path, contents)
    found = facts.describe(dataset, duplicates.look(dataset))
    assert found.equal_within == [Within("train", 1, [["a", "c"]])]
    assert "3 of 7 train photos have no features: no file 2 (d, g), empty file 1 (f)" in factsheet.summary(found)


def test_photos_without_a_file_are_counted_by_split(tmp_path):
    assert factsheet.missing(photos(tmp_path / "some", {"a": b"1", "b": None, "c": None})) == [
        "2 of 3 train photos have no file"
    ]
    assert factsheet.missing(photos(tmp_path / "none", {"a": b"1"})) == []


def test_photos_of_a_size_that_no_other_has_are_not_read(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(digests.images, "content", lambda place: read.append(place.name) or b"x")
    duplicates.look(photos(tmp_path, {"a": b"1", "b": b"22", "c": b"2", "d": b"333"}))
    assert sorted(read) == ["a.jpg", "c.jpg"]


def test_that_no_photo_is_there_twice_is_said(tmp_path):
    dataset = photos(tmp_path, {"a": b"one", "b": b"two"})
    assert "No photo was found twice" in factsheet.summary(facts.describe(dataset, duplicates.look(dataset)))


def test_photos_that_were_not_compared_are_not_called_different(tmp_path, monkeypatch):
    missing = photos(tmp_path / "missing", {"a": None, "b": None})
    monkeypatch.setattr(digests, "_digest", lambda place: pytest.fail("there is nothing to read"))
    assert "found once the photos are there" in factsheet.summary(facts.describe(missing, duplicates.look(missing)))
    there = photos(tmp_path / "there", {"a": b"1", "b": b"2"})
    monkeypatch.setattr(DataSet, "is_remote", True)
    found = factsheet.summary(facts.describe(there, duplicates.look(there)))
    assert "Photos that are there twice are found once the photos are there (in a bucket: their features)." in found


def test_an_empty_set_has_facts_too():
    assert factsheet.summary(facts.describe(data_set(), {})).startswith("0 photos, 3 labels")


def test_how_a_data_set_was_understood_is_told_in_a_few_lines():
    labels = Labels((1, 2, 3, 4, 5, 6), tuple("abcdef"), ("colour",) * 2 + ("sleeve",) * 2 + ("style",) * 2)
    train = np.array([[1, 0, 0, 0, 1, 1], [0, 1, 1, 0, 255, 0], [1, 0, 0, 1, 0, 255]], np.uint8)
    splits = {
        "train": Split("train", ("1", "2", "3"), ((),) * 3, train, ("shirt", "shirt", "hat")),
        "validation": Split("validation", ("4", "5"), ((),) * 2, csr_array(train[:2]), ("hat", "")),
        "test": Split("test", ("6",), ((),), None),
    }
    data = DataSet("made", "nowhere", labels, splits, told=("Read as …",), is_drawn=True)
    assert factsheet.understood(data) == [
        "Read as …",
        "Groups of labels: colour (2, one each), sleeve (2, at most one), style (2, several).",
        "Unknown, which is not absent: 3 of 30 entries, 10.0% (an entry is a photo and a label).",
        "Photos that belong together: 2 products of more than one photo; 1 of them in two splits, which flatters the "
        "figures.",
        "Splits, drawn by a hash of the photos: train 3, validation 2, test 1 photos.",
    ]
    given = factsheet.understood(dataclasses.replace(data, is_drawn=False))
    assert given[-1] == "Splits: train 3, validation 2, test 1 photos."


def test_of_many_groups_a_few_are_named():
    many = Labels(tuple(range(12)), tuple("abcdefghijkl"), tuple(f"group {number}" for number in range(12)))
    train = Split("train", ("1",), ((),), np.ones((1, 12), np.uint8))
    assert factsheet.understood(data_set(train, labels=many))[0].endswith("group 6 (1), group 7 (1), and 4 more.")


def test_unknown_entries_are_counted_and_are_no_labels():
    targets = [[1, 255, 0], [0, 0, 0], [255, 255, 255], [255, 1, 1]]
    found = facts.describe(data_set(split("train", targets)), {})
    assert found.splits["train"] == SplitFacts(4, 2, 1, 3, Spread(0.75, 0, 2), None, unknown=5)
    assert found.counts == {"train": [1, 1, 1]} and found.unseen == []
    told = factsheet.summary(found)
    assert "train: 1 of 4 photos has no labels: it counts as negative for every label that is known of it" in told
    assert (
        "train: 5 entries (a photo and a label) are unknown, and nothing is known of 1 photo: "
        "neither learned from nor judged"
    ) in told
    never = facts.describe(data_set(split("train", [[1, 255, 0]])), {})
    assert [label.name for label in never.unseen] == ["Red", "Hat"]


def test_a_label_is_shifted_by_its_shares_of_the_photos_that_know_it():
    generator = np.random.default_rng(0)
    train = (generator.random((3000, 3)) < (0.3, 0.2, 0.1)).astype(np.uint8)
    validation = (generator.random((900, 3)) < (0.3, 0.5, 0.1)).astype(np.uint8)
    known_alone = facts.describe(two_splits(train[:1500], validation), {}).shifted
    train[1500:] = 255
    assert facts.describe(two_splits(train, validation), {}).shifted == known_alone
    assert known_alone.labels == 1
    validation[:, 1] = 255
    nothing_known = facts.describe(two_splits(train, validation), {}).shifted
    assert (nothing_known.labels, nothing_known.tested) == (0, 2)


def test_few_labels_are_listed_once():
    told = factsheet.summary(facts.describe(data_set(split("train", [[1, 0, 1], [1, 1, 0]])), {}))
    assert "\nLabels (group, photos in train): Dress (category, 2), " in told and "Rarest" not in told
