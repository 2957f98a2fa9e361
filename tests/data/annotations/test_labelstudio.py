"""What people chose in Label Studio becomes labels, whichever way it was exported."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import split_of_each, write, write_photos

from mlob.data import images
from mlob.data.annotations import formats, labelstudio
from mlob.data.dataset import read_dataset
from mlob.data.tree import Tree
from mlob.errors import InputError
from mlob.recipes import Annotations

ANSWERS = st.fixed_dictionaries(
    {}, optional={"colour": st.sets(st.sampled_from(["red", "blue"]), min_size=1, max_size=1),
                  "sleeve": st.sets(st.sampled_from("abc"), min_size=1)}
)  # fmt: skip


def choice(question, *choices):
    return {"type": "choices", "from_name": question, "to_name": "image", "value": {"choices": list(choices)}}


def annotation(*results, **more):
    return {"id": 1, "was_cancelled": False, "ground_truth": False, "result": list(results), **more}


def task(number, address, *annotations):
    return {"id": number, "data": {"image": address}, "annotations": list(annotations)}


def uploaded(number):
    return f"/data/upload/3/0123abcd-{number}.jpg"


def whole_task(number, answers):
    results = [choice(question, *sorted(choices)) for question, choices in answers.items()]
    return task(number, uploaded(number), annotation(*results))


def minimal_record(number, answers):
    given = {key: min(choices) if len(choices) == 1 else {"choices": [*choices]} for key, choices in answers.items()}
    return {"image": uploaded(number), "id": number, "annotator": 1, "annotation_id": 7, **given, "lead_time": 3.5}


def listed(folder, tasks):
    write(folder / "project-1.json", json.dumps(tasks))
    return formats.read(Tree(folder))


def chosen(listing):
    """Give {photo: its (question, choice) pairs}."""
    (file,), labels = listing.files, listing.labels
    pairs = list(zip(labels.groups, labels.names, strict=True))
    rows = zip(file.ids, file.annotations.toarray(), strict=True)
    return {name: {pair for pair, value in zip(pairs, row, strict=True) if value} for name, row in rows}


@settings(deadline=None, max_examples=25)
@given(st.lists(ANSWERS, min_size=1, max_size=8), st.randoms())
def test_what_was_chosen_are_the_labels_in_either_export_and_in_any_order(tmp_path_factory, answers, generator):
    whole = [whole_task(number, each) for number, each in enumerate(answers)]
    minimal = [minimal_record(number, each) for number, each in enumerate(answers)]
    listings = [
        listed(tmp_path_factory.mktemp("export"), tasks)
        for tasks in (whole, generator.sample(whole, len(whole)), minimal)
    ]
    expected = {
        f"0123abcd-{number}.jpg": {(key, choice) for key, choices in each.items() for choice in choices}
        for number, each in enumerate(answers)
    }
    assert [chosen(listing) for listing in listings] == [expected] * 3
    assert listings[0].labels == listings[1].labels == listings[2].labels


def test_of_several_annotations_the_ground_truth_counts_then_the_latest(tmp_path):
    def at(day, colour, **more):
        return annotation(choice("colour", colour), updated_at=f"2024-01-{day:02}T00:00:00Z", **more)

    tasks = [
        task(1, "a.jpg", at(3, "latest"), at(2, "earlier"), at(9, "skipped", was_cancelled=True)),
        task(2, "b.jpg", at(3, "latest"), at(2, "true", ground_truth=True)),
        task(3, "c.jpg", at(1, "only")),
    ]
    listing = listed(tmp_path, tasks)
    assert chosen(listing) == {"a.jpg": {("colour", "latest")}, "b.jpg": {("colour", "true")},
                               "c.jpg": {("colour", "only")}}  # fmt: skip
    assert "Tasks with several annotations: 2. The ground truth is taken, else the latest." in listing.told


def test_tasks_that_nobody_answered_are_predicted_and_those_without_any_label_are_not(tmp_path):
    skipped, empty = annotation(was_cancelled=True), annotation()
    answered = [whole_task(number, {"colour": {"red"}}) for number in range(30)]
    data = read_dataset_of(
        tmp_path, [*answered, task(30, "none.jpg", empty), task(31, "new.jpg"), task(32, "odd.jpg", skipped)]
    )
    splits = split_of_each(data)
    assert {name for name, split in splits.items() if split == "test"} == {"new.jpg", "odd.jpg"}
    assert set(splits.values()) == {"train", "validation", "test"} and data["test"].targets is None
    assert "Tasks not annotated, or skipped: 2. They are the ones to predict." in data.told
    assert "Annotated tasks that leave a question open: 1. They count as having none of its labels." in data.told


def read_dataset_of(folder, tasks):
    write(folder / "export.json", json.dumps(tasks))
    return read_dataset(folder)


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/data/upload/1/0123abcd-dress.jpg", "images/0123abcd-dress.jpg"),
        ("/data/upload/1/0123abcd-dress.jpg", "images/dress.jpg"),
        ("/data/local-files/?d=shop/red%20dress.jpg", "shop/red dress.jpg"),
        ("/data/local-files/?d=/home/me/shop/dress.jpg", "images/dress.jpg"),
        ("https://host/shop/dress.jpg?key=1", "images/dress.jpg"),
        ("s3://bucket/shop/dress.jpg", "images/dress.jpg"),
        ("shop/dress.jpg", "shop/dress.jpg"),
        ("shop\\dress.jpg", "images/dress.jpg"),
        ("../shop/dress.jpg", "images/dress.jpg"),
    ],
)
def test_a_photo_is_found_by_the_last_part_of_its_address(tmp_path, address, file):
    write_photos(tmp_path, {file: b"photo"})
    data = read_dataset_of(tmp_path, [task(1, address, annotation(choice("colour", "red")))])
    (split,) = data.splits
    assert [images.content(place) for place in data.photos(split)] == [b"photo"]


def test_an_upload_is_found_by_its_full_name_first(tmp_path):
    write_photos(tmp_path, {"images/0123abcd-a.jpg": b"full", "images/a.jpg": b"short"})
    data = read_dataset_of(tmp_path, [task(1, uploaded("a"), annotation(choice("colour", "red")))])
    (split,) = data.splits
    assert images.content(data.photos(split)[0]) == b"full"


def test_photos_of_one_name_in_two_folders_are_two(tmp_path):
    tasks = [task(number, f"{folder}/1.jpg", annotation(choice("c", folder))) for number, folder in enumerate("ab")]
    assert chosen(listed(tmp_path, tasks)) == {"a/1.jpg": {("c", "a")}, "b/1.jpg": {("c", "b")}}


def test_results_that_are_no_choices_are_counted_and_left_out(tmp_path):
    box = {"type": "rectanglelabels", "from_name": "box", "value": {"rectanglelabels": ["x"]}}
    listing = listed(tmp_path, [task(1, "a.jpg", annotation(box, choice("colour", "red"), box))])
    assert listing.labels.names == ("red",)
    assert "Left out, since they are no choices: rectanglelabels (2)." in listing.told


def test_photos_of_a_product_are_told_by_a_field_of_that_name(tmp_path):
    tasks = [task(number, f"{number}.jpg", annotation(choice("c", "x"))) for number in range(2)]
    for each in tasks:
        each["data"]["product"] = "shirt"
    assert listed(tmp_path, tasks).files[0].together == ("shirt", "shirt")


def test_fields_that_are_no_questions_are_told_apart_in_json_min(tmp_path):
    records = [
        {**minimal_record(number, {"colour": {"red"}}), "product": "shirt", "note": str(number)} for number in range(2)
    ]
    listing = listed(tmp_path, records)
    assert listing.files[0].together == ("shirt", "shirt") and set(listing.labels.groups) == {"colour", "note"}
    assert formats.read(Tree(tmp_path), Annotations(labels=("colour",))).labels.names == ("red",)


def test_the_field_of_the_photo_is_named_where_two_are_addresses(tmp_path):
    tasks = [{**task(1, "a.jpg", annotation(choice("c", "x")))}]
    tasks[0]["data"]["back"] = "b.jpg"
    write(tmp_path / "export.json", json.dumps(tasks))
    with pytest.raises(InputError, match=r"2 fields of the task 1 .*image, back.*SET=annotations\.image"):
        formats.read(Tree(tmp_path))
    assert formats.read(Tree(tmp_path), Annotations(image="back")).files[0].ids == ("b.jpg",)
    with pytest.raises(InputError, match=r"the task 1 has no text 'bak'\. Did you mean back\?"):
        formats.read(Tree(tmp_path), Annotations(image="bak"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"annotations": []', r"export\.json"),
        ('[{"id": 5, "annotations": [1]}]', r"export\.json: the task 5 holds \[1\] where a list"),
        ('[{"id": 5, "annotations": [{"result": 1}]}]', r"export\.json: the task 5 holds 1 where a list"),
        (json.dumps([task(5, "a.jpg", annotation(choice("c", ["x", "y"])))]), r"the task 5 holds the choices"),
        (json.dumps([task(5, "a.jpg", annotation({"type": "choices"}))]), r"the task 5 holds the choices null"),
        (json.dumps([task(5, "a.jpg"), task(6, "a.jpg")]), r"the image 'a\.jpg' is listed twice"),
        (json.dumps([task(5, "no photo")]), r"0 fields of the task 5 are addresses of photos \(its fields: image\)"),
        (json.dumps([task(5, "a.jpg"), 6]), r"expected a list of tasks as objects, found 6 in it"),
    ],
)  # fmt: skip
def test_an_export_that_cannot_be_right_is_refused(tmp_path, content, message):
    write(tmp_path / "export.json", content)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path)


def test_an_export_may_begin_with_a_byte_order_mark(tmp_path):
    write(tmp_path / "export.json", json.dumps([whole_task(1, {"colour": {"red"}})]).encode("utf-8-sig"))
    assert formats.read(Tree(tmp_path)).labels.names == ("red",)


def test_other_json_files_are_no_exports(tmp_path):
    for content in ('{"annotations": []}', "[]", "[1]", '[{"image": "a.jpg"}]', "", "no JSON"):
        write(tmp_path / "other.json", content)
        assert not labelstudio.is_export(tmp_path / "other.json")
