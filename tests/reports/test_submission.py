import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob.errors import InputError
from mlob.labels import Labels
from mlob.reports import submission

LABELS = Labels((1, 4, 66), ("a", "b", "c"), ("g", "g", "g"))


def test_the_file_is_as_the_competition_wants_it(tmp_path):
    path = tmp_path / "ensemble" / "submission.csv"
    submission.write(path, ["7", "3", "5"], np.array([[1, 0, 1], [0, 0, 0], [0, 1, 1]]), LABELS)
    assert path.read_bytes() == b"image_id,label_id\n7,1 66\n3,\n5,4 66\n"


@settings(deadline=None, max_examples=50)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1),
        st.sets(st.sampled_from(LABELS.ids)),
    )
)
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("made") / "submission.csv"
    submission.write(path, list(rows), LABELS.targets(rows.values()), LABELS)
    assert submission.read(path) == (tuple(rows), list(rows.values()))


@pytest.mark.parametrize(
    "ids, decided",
    [
        (["1", "1"], [[1, 0, 0], [1, 0, 0]]),  # an id twice
        (["1", "2"], [[1, 0, 0], [2, 0, 0]]),  # no 0/1 matrix
    ],
)
def test_what_cannot_be_read_back_is_a_bug_and_leaves_the_old_file(tmp_path, ids, decided):
    path = tmp_path / "submission.csv"
    submission.write(path, ["0"], [[0, 0, 1]], LABELS)
    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        submission.write(path, ids, np.array(decided), LABELS)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "id,label\n1,2\n", "image_id,label_id\n1,2,3\n", "image_id,label_id\n1,red\n"])
def test_other_files_are_refused_by_name(tmp_path, text):
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"other.csv is no submission"):
        submission.read(path)


def test_a_missing_file_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(InputError, match=r"make submission"):
        submission.read(tmp_path / "submission.csv")


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.binary(max_size=60).map(lambda content: b"image_id,label_id\n" + content) | st.binary(max_size=60))
def test_whatever_bytes_stand_in_a_submission_it_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("runs") / "submission.csv"
    path.write_bytes(content)
    try:
        ids, label_sets = submission.read(path)
    except InputError as error:
        assert "submission.csv is no submission" in str(error)
    else:
        assert len(ids) == len(label_sets)
