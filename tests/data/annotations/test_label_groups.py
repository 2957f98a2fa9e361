"""labels.csv gives the labels of any format their groups; groups that are called exclusive are."""

import pytest
from layouts import targets, write, write_split

from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.recipes import Annotations

PHOTOS = "image,labels,split\na.jpg,red|long,train\nb.jpg,blue,train\nc.jpg,red|blue,train\n"


def read(folder, labels, photos=PHOTOS, **asked):
    write(folder / "photos.csv", photos)
    write(folder / "labels.csv", labels)
    return read_dataset(folder, asked=Annotations(**asked))


def test_labels_get_groups_and_names_and_what_fits_nowhere_is_told(tmp_path):
    data = read(tmp_path, "label,group,name\nred,colour,Red\nblue,colour,\ngreen,colour,\n")
    assert data.labels.names == ("blue", "long", "Red")
    assert data.labels.groups == ("colour", "label", "colour")
    assert targets(data["train"]) == [[0, 1, 1], [1, 0, 0], [1, 0, 1]]
    assert "labels.csv: groups of 2 labels; not in it: 1 (long); of no photo: 1 of its labels (green)." in data.told


def test_labels_of_another_format_get_groups_by_their_names_or_numbers(tmp_path):
    write_split(tmp_path, "train", {1: [3], 2: [7]})
    write(tmp_path / "labels.csv", "label;group;name\r\n3;colour;red\r\n7;sleeve;long\r\n".encode("utf-8-sig"))
    labels = read_dataset(tmp_path).labels
    assert (labels.ids, labels.names, labels.groups) == ((3, 7), ("red", "long"), ("colour", "sleeve"))


def test_a_name_of_two_groups_is_looked_up_with_its_group(tmp_path):
    photos = "image,usage,style,split\na.jpg,Casual,Casual,train\n"
    data = read(tmp_path, "label,group,name\nCasual,style,relaxed\nCasual,shop,x\n", photos)
    labels = dict(zip(data.labels.groups, data.labels.names, strict=True))
    assert labels == {"style": "relaxed", "usage": "Casual"}
    assert data.told[-1] == "labels.csv: groups of 1 label; of no photo: 1 of its labels (Casual)."


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("image,red\na.jpg,1\n", r"labels\.csv: expected the columns label, group .* found image, red: correct"),
        ("label,group\nred,a\nred,a\n", r"labels\.csv: the label 'red' is listed twice: remove one"),
        ("label,group\nred,a\nblue,\n", r"labels\.csv, row 3: expected a label and its group, found an empty cell"),
        ("label,group,name\nred,a,x\nblue,a,x\n", r"labels\.csv: two labels of the group a would be called 'x'"),
    ],
)
def test_a_list_of_labels_that_cannot_be_right_is_refused(tmp_path, labels, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, labels)


def test_a_photo_with_two_labels_of_a_group_that_is_called_exclusive_is_refused(tmp_path):
    labels = "label,group\nred,colour\nblue,colour\n"
    message = r"photos\.csv, row 4: the image 'c\.jpg' has 2 labels of the group colour, 'blue' and 'red'.*\(1 such"
    with pytest.raises(InputError, match=message):
        read(tmp_path, labels, exclusive=("colour",))
    assert len(read(tmp_path, labels, exclusive=("label",)).labels) == 3
    with pytest.raises(InputError, match=r"annotations\.exclusive names the group 'color'\. Did you mean colour\?"):
        read(tmp_path, labels, exclusive=("color",))
