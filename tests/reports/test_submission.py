"""A submission is read back as it was written, in every layout; what a sample wants is taken from it, or refused."""

import dataclasses
import typing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob.data.dataset import DataSet, Split
from mlob.errors import InputError
from mlob.labels import Labels
from mlob.predictions import Table
from mlob.recipes import Submission
from mlob.reports import form, submission

NUMBERED = Labels((1, 4, 66), ("a", "b", "c"), ("g", "g", "g"), ids_are_own=True)
NAMED = Labels((1, 2, 3), ("=cmd", "long sleeves", "red"), ("g", "sleeve", "colour"))
DECIDED = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 1]], np.uint8)
PROBABILITIES = np.array([[0.75, 0.25, 1], [0, 0.125, 1e-7], [1 / 3, 0.5, 0.9]], np.float32)
IDS = ("7", "3", "5")
PHOTOS = ("images/7.jpg", "images/3.jpg", "images/5.jpg")
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)


def data(folder, labels=NUMBERED, ids=IDS):
    return DataSet("mine", folder, labels, {"test": Split("test", ids, ((),) * len(ids), None)})


def written(folder, dataset, asked=None, decided=DECIDED, probabilities=PROBABILITIES):
    """Write a submission in the form that is planned; give its text."""
    table = Table(tuple(dataset["test"].ids), probabilities, decided)
    path = folder / "ensemble" / "submission.csv"
    submission.write(path, submission.plan(dataset, asked or Submission()), table)
    return path.read_bytes().decode()


def sample(folder, text):
    (folder / "sample_submission.csv").write_bytes(text.encode())


def test_every_layout_that_a_recipe_may_name_has_its_writer():
    named = typing.get_args(typing.get_type_hints(Submission)["layout"])
    assert {"", *submission.LAYOUTS} == set(named)


def test_a_data_set_that_numbers_its_labels_gets_numbers(tmp_path):
    assert written(tmp_path, data(tmp_path)) == "image_id,label_id\n7,1 66\n3,\n5,4 66\n"


def test_a_table_of_names_gets_names_as_it_has_them_and_no_formula(tmp_path):
    text = written(tmp_path, data(tmp_path, NAMED, PHOTOS))
    assert text == "image,labels\nimages/7.jpg,'=cmd|red\nimages/3.jpg,\nimages/5.jpg,long sleeves|red\n"


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (Submission("pairs"), "image_id,label_id\n7,1\n7,66\n3,\n5,4\n5,66\n"),
        (Submission("probabilities"), "image_id,1,4,66\n7,0.75,0.25,1\n3,0,0.125,1e-07\n5,0.333333,0.5,0.9\n"),
        (Submission(image="file", label="tags", labels="names", separator=";"), "file,tags\n7,a;c\n3,\n5,b;c\n"),
        (Submission(image="file", labels="names", separator="space"), "file,labels\n7,a c\n3,\n5,b c\n"),
        (Submission("probabilities", labels="names"), "image_id,a,b,c\n7,0.75,0.25,1\n3,0,0.125,1e-07\n"),
    ],
)
def test_a_recipe_names_layout_columns_and_separator(tmp_path, asked, text):
    assert written(tmp_path, data(tmp_path), asked).startswith(
        text.replace("image_id,a", f"{asked.image or 'image'},a")
    )


def test_a_name_of_two_groups_stands_behind_its_group(tmp_path):
    labels = Labels((1, 2, 3), ("other", "other", "red"), ("sleeve", "colour", "colour"))
    assert "7,sleeve: other|red\n" in written(tmp_path, data(tmp_path, labels))


@pytest.mark.parametrize("layout", submission.LAYOUTS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_what_is_written_is_read_back(tmp_path_factory, layout, data):
    ids = tuple(data.draw(st.lists(TEXTS, unique=True, max_size=5)))
    names = data.draw(st.lists(TEXTS.filter(lambda name: "|" not in name), unique=True, min_size=3, max_size=3))
    labels = Labels((1, 2, 3), tuple(names), ("g",) * 3)
    decided = np.array(data.draw(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3),
                                          min_size=len(ids), max_size=len(ids))), np.uint8).reshape(-1, 3)  # fmt: skip
    path, dataset = tmp_path_factory.mktemp("made") / "submission.csv", globals()["data"](None, labels, ids)
    wanted = form.default(dataset, Submission(layout))
    submission.write(path, wanted, Table(ids, decided.astype(np.float32), decided))
    found = list(submission.read(path, wanted))
    assert [name for name, _ in found] == list(ids)
    assert [row.tolist() for _, row in found] == decided.tolist()


@pytest.mark.parametrize(
    "ids, decided",
    [
        (("1", "1"), [[1, 0, 0], [1, 0, 0]]),  # a photo twice
        (("1", "2"), [[1, 0, 0], [2, 0, 0]]),  # no 0/1 matrix
    ],
)
def test_what_cannot_be_read_back_is_a_bug_and_leaves_the_old_file(tmp_path, ids, decided):
    path, decided = tmp_path / "submission.csv", np.array(decided)
    submission.write(path, form.default(data(tmp_path), Submission()), Table(IDS, PROBABILITIES, DECIDED))
    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        wanted = form.default(data(tmp_path, ids=ids), Submission())
        submission.write(path, wanted, Table(ids, decided.astype(np.float32), decided))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "id,label\n1,2\n", "image_id,label_id\n1,2,3\n", "image_id,label_id\n1,red\n"])
def test_other_files_are_refused_by_name(tmp_path, text):
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"other.csv is no submission"):
        list(submission.read(path, form.default(data(tmp_path), Submission())))


def test_a_missing_file_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(InputError, match=r"make submission"):
        list(submission.read(tmp_path / "submission.csv", form.default(data(tmp_path), Submission())))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.binary(max_size=60).map(lambda content: b"image_id,label_id\n" + content) | st.binary(max_size=60))
def test_whatever_bytes_stand_in_a_submission_it_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("runs") / "submission.csv"
    path.write_bytes(content)
    try:
        assert all(len(row) == 3 for _, row in submission.read(path, form.default(data(None), Submission())))
    except InputError as error:
        assert "submission.csv is no submission" in str(error)


@pytest.mark.parametrize(
    ("labels", "asked", "message"),
    [
        (NAMED, Submission(labels="ids"), "have names alone, and only mlob numbers them"),
        (NAMED, Submission(separator=" "), "The label 'long sleeves' holds ' ', which separates the labels"),
        (Labels((1, 2), ("x", "x"), ("g", "g")), Submission(), "Two labels are written 'g: x'"),
    ],
)
def test_what_could_not_be_read_back_is_refused_beforehand(tmp_path, labels, asked, message):
    with pytest.raises(InputError, match=message):
        submission.plan(data(tmp_path, labels), asked)


# As sample_submission.csv wants it

SAMPLES = {
    "ids in another order, and other columns": (NUMBERED, IDS, "id,tags\n5,1 4\n3,\n7,66\n",
                                                "id,tags\n5,4 66\n3,\n7,1 66\n"),
    "another separator": (NUMBERED, IDS, "id,tags\n7,1|4\n3,1\n5,1\n", "id,tags\n7,1|66\n3,\n5,4|66\n"),
    "names, where there are numbers too": (NUMBERED, IDS, "id,tags\n7,a\n3,b\n5,c\n", "id,tags\n7,a|c\n3,\n5,b|c\n"),
    "names with blanks": (NAMED, PHOTOS, "f,l\n3.jpg,red\n7.jpg,\"red, long sleeves\"\n5.jpg,red\n",
                          "f,l\n3.jpg,\n7.jpg,\"=cmd, red\"\n5.jpg,\"long sleeves, red\"\n"),
    "photos without a suffix": (NAMED, PHOTOS, "f,l\n7,red\n3,red\n5,red\n",
                                "f,l\n7,=cmd|red\n3,\n5,long sleeves|red\n"),
    "photos with a suffix": (NUMBERED, IDS, "f,l\n7.jpg,1\n3.jpg,1\n5.jpg,1\n",
                             "f,l\n7.jpg,1 66\n3.jpg,\n5.jpg,4 66\n"),
    "labels before photos, and ; between": (NUMBERED, IDS, "l;f\r\n1;3\r\n4;7\r\n1;5\r\n",
                                           "l;f\n;3\n1 66;7\n4 66;5\n"),
    "a row a label": (NUMBERED, IDS, "id,l\n7,1\n7,4\n3,1\n5,1\n", "id,l\n7,1\n7,66\n3,\n5,4\n5,66\n"),
    "a column a label": (NUMBERED, IDS, "id,c,a,b\n3,0,0,0\n7,0,0,0\n5,.5,0,0\n",
                         "id,c,a,b\n3,1e-07,0,0.125\n7,1,0.75,0.25\n5,0.9,0.333333,0.5\n"),
    "a byte-order mark": (NUMBERED, IDS, "\ufeffid,4,1,66\n7,0,0,0\n5,0,0,0\n3,0,0,0\n",
                          "id,4,1,66\n7,0.25,0.75,1\n5,0.5,0.333333,0.9\n3,0.125,0,1e-07\n"),
    "examples of which some are no labels": (NUMBERED, IDS, "id,l\n7,1|4\n3,1|99\n5,1\n", "id,l\n7,1|66\n3,\n5,4|66\n"),
    "no label in any cell": (NUMBERED, IDS, "id,l\n7,\n3,\n5,\n", "id,l\n7,1 66\n3,\n5,4 66\n"),
    "blanks in the header": (NUMBERED, IDS, "id, l\n7,1\n3,1\n5,1\n", "id, l\n7,1 66\n3,\n5,4 66\n"),
    "a photo less": (NUMBERED, IDS, "id,l\n5,1\n7,1\n", "id,l\n5,4 66\n7,1 66\n"),
}  # fmt: skip


@pytest.mark.parametrize(("labels", "ids", "text", "expected"), SAMPLES.values(), ids=SAMPLES)
def test_the_form_is_that_of_the_sample(tmp_path, labels, ids, text, expected):
    sample(tmp_path, text)
    assert written(tmp_path, data(tmp_path, labels, ids)) == expected


def test_what_is_planned_is_told_with_the_photos_that_get_no_row(tmp_path):
    sample(tmp_path, "id,l\n5,1\n7,4\n")
    dataset = data(tmp_path)
    told = submission.told(submission.plan(dataset, Submission()), dataset)
    assert told == (
        "submission: a row a photo (id,l), ids of labels, separated by ' ', 2 photos; test photos that are not in the "
        "sample and get no row: 1"
    )


REFUSED = {
    "photos of elsewhere": ("id,l\n7,1\n8,1\n9,1\n", "names 2 photos that test lacks, the first is '8'"),
    "no photo of test": ("id,l\n8,1\n9,1\n", "none of its columns .* names a photo of test, for example '7'"),
    "a photo twice in two ways": ("id,l\n7.jpg,1\n7.png,1\n3.jpg,1\n",
                                  "names one photo of test twice, '7.jpg' and '7.png'"),
    "labels of elsewhere": ("id,l\n7,\n3,2 5\n5,\n", "row 3: '2 5' is no list of labels"),
    "columns of elsewhere": ("id,a,b,d\n7,0,0,0\n3,0,0,0\n",
                             r"1 columns are no labels \('d'\) and 1 labels have no column \('c'\)"),
    "a photo twice with columns of labels": ("id,a,b,c\n7,0,0,0\n7,0,0,0\n", "two rows of the photo '7'"),
    "a row cut short": ("id,l\n7,1\n3\n", "row 3 has 1 cell, the header has 2"),
    "no rows": ("id,l\n", "expected a column of photos and one of labels"),
    "nothing": ("", "not a CSV table"),
    "one column": ("id\n7\n", "expected a column of photos and one of labels"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_a_sample_that_does_not_fit_is_refused_by_name(tmp_path, text, message):
    sample(tmp_path, text)
    with pytest.raises(InputError, match=f"sample_submission.csv.*{message}"):
        submission.plan(data(tmp_path), Submission())


def test_a_recipe_settles_what_a_sample_leaves_open_and_may_not_contradict_it(tmp_path):
    sample(tmp_path, "id,l\n7,x\n3,x\n5,x\n")
    asked = Submission(labels="names", separator="+")
    assert written(tmp_path, data(tmp_path), asked) == "id,l\n7,a+c\n3,\n5,b+c\n"
    sample(tmp_path, "id,l\n7,1\n3,1\n5,1\n")
    assert written(tmp_path, data(tmp_path), Submission("pairs")) == "id,l\n7,1\n7,66\n3,\n5,4\n5,66\n"
    with pytest.raises(InputError, match=r"submission\.layout is 'probabilities', yet .* has the layout 'photos'"):
        submission.plan(data(tmp_path), Submission("probabilities"))
    with pytest.raises(InputError, match="has no column 'name'"):
        submission.plan(data(tmp_path), Submission(image="name"))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.binary(max_size=60) | st.text("id,l\n71 435;|ac", max_size=40).map(str.encode))
def test_whatever_bytes_stand_in_a_sample_a_form_comes_of_it_or_it_is_refused(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("data")
    (folder / "sample_submission.csv").write_bytes(content)
    try:
        found = submission.plan(data(folder), Submission())
    except InputError as error:
        assert "sample_submission.csv" in str(error)
    else:
        assert set(found.rows.tolist()) <= {0, 1, 2} and dataclasses.asdict(found)
