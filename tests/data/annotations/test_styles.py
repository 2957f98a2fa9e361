"""Fashion Product Images: a table with long rows, whose seven columns of labels are groups."""

import pytest
from layouts import split_of_each, targets, touch, write, write_split

from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.labels import exclusive_groups

HEADER = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
ROWS = [
    "1,Men,Apparel,Topwear,Shirts,Blue,Fall,2011,Casual,A shirt",
    "2,Women,Apparel,Topwear,Tops,NA,NA,2012,NA,A top, red, and blue",
    "3,Men,Footwear,Shoes,Shirts,,,,,",
]


def write_styles(folder, rows=ROWS, header=HEADER):
    write(folder / "styles.csv", "\n".join([header, *rows, ""]))


def named(data, split):
    """{id: {group: name}} of a split's labels."""
    labels = data.labels
    return {
        name: {labels.groups[column]: labels.names[column] for column in row.nonzero()[0]}
        for name, row in zip(data[split].ids, data[split].targets, strict=True)
    }


def test_columns_of_labels_are_groups_and_surplus_cells_and_na_are_no_labels(tmp_path):
    rows = [row.replace(",A ", ",train,A ") for row in ROWS[:2]]
    write_styles(tmp_path, rows, HEADER.replace("product", "split,product"))
    data = read_dataset(tmp_path)
    assert named(data, "train")["2"] == {
        "gender": "Women",
        "masterCategory": "Apparel",
        "subCategory": "Topwear",
        "articleType": "Tops",
    }
    assert named(data, "train")["1"]["usage"] == "Casual" and "year" not in data.labels.groups
    assert "Rows that are longer than the header, so that the rest belongs to productDisplayName: 1." in data.told
    assert "Cells that hold NA, which is none: 3." in data.told
    assert len(exclusive_groups(data.labels.groups, data["train"].targets)) == 2  # of those with two labels


def test_photos_are_images_of_the_id_and_one_without_a_file_is_kept(tmp_path):
    write_styles(tmp_path)
    touch(tmp_path, "images/1.jpg", "images/2.jpg")
    data = read_dataset(tmp_path)
    found = {
        name: place for split in data.splits for name, place in zip(data[split].ids, data.photos(split), strict=True)
    }
    assert found == {"1": tmp_path / "images/1.jpg", "2": tmp_path / "images/2.jpg", "3": None}


def test_a_column_split_is_taken_and_rows_of_test_without_labels_are_to_predict(tmp_path):
    rows = ["1,Men,A,B,C,D,E,2011,F,train", "2,Men,A,B,X,D,E,2011,F,validation", "3,,,,,,,,,test"]
    write_styles(tmp_path, rows, HEADER.replace("productDisplayName", "split"))
    data = read_dataset(tmp_path)
    assert split_of_each(data) == {"1": "train", "2": "validation", "3": "test"}
    assert data["test"].targets is None and sum(targets(data["train"])[0]) == 7


def test_beside_files_of_imaterialist_2018_these_are_read(tmp_path):
    write_styles(tmp_path)
    write_split(tmp_path, "train", {1: [3]})
    assert read_dataset(tmp_path).told[0] == "Read as iMaterialist 2018, told by train.json."


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("4,Men,Apparel", r"styles\.csv, row 5: expected 10 cells \(id, .*\), found 3: correct the row"),
        ('4,Men,A,B,C,D,E,2011,F,"open\n5,Men', r"styles\.csv, row 5: .* found a quote that is not closed"),
        ("1,Men,A,B,C,D,E,2011,F,again", r"styles\.csv: the image '1' is listed twice"),
        ("x/../../1,Men,A,B,C,D,E,2011,F,out", r"styles\.csv: .* outside the data folder"),
    ],
)
def test_rows_that_cannot_be_right_are_refused(tmp_path, row, message):
    write_styles(tmp_path, [*ROWS, row])
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path)


def test_rows_count_from_the_line_with_which_excel_names_its_delimiter(tmp_path):
    write_styles(tmp_path, [*ROWS, "4,Men,Apparel"], f"sep=,\n{HEADER}")
    with pytest.raises(InputError, match=r"styles\.csv, row 6: expected 10 cells"):
        read_dataset(tmp_path)
    write_styles(tmp_path, [*ROWS, ROWS[0]], f"sep=,\n{HEADER}")
    with pytest.raises(InputError, match=r"the image '1' is listed twice, in the rows 3 and 6"):
        read_dataset(tmp_path)


def test_another_encoding_is_refused_or_named(tmp_path):
    (tmp_path / "styles.csv").write_bytes(f"{HEADER}\n1,Men,A,B,Décolleté,D,E,2011,F,x\n".encode("latin-1"))
    with pytest.raises(
        InputError, match=r"styles\.csv is not a CSV table in UTF-8 .*: save it as one, or name its enc"
    ):
        read_dataset(tmp_path)
