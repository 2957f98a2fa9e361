"""Numbers that other programs made: whatever the format, the same rows; what is wrong is told with where it is."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlob.data import vectors
from mlob.errors import InputError

IDS = ["a.jpg", "b.jpg", "007"]
VALUES = np.float32([[0.1, -2, 3], [1e-4, 5, 65_000], [7, 8, 9]])


def frame(values=VALUES, ids=IDS, name="id"):
    return pd.DataFrame({name: ids, **{f"x{number}": column for number, column in enumerate(np.transpose(values))}})


def write(folder, kind, values=VALUES, ids=IDS):
    """Write a table in a format; give its path, and what names its ids."""
    path = folder / f"features{kind}"
    match kind:
        case ".parquet":
            frame(values, ids).to_parquet(path)
        case ".lists.parquet":
            pd.DataFrame({"photo": ids, "vector": [*map(list, values)]}).to_parquet(path)
        case ".csv" | ".tsv":
            frame(values, ids).to_csv(path, index=False, sep="," if kind == ".csv" else "\t")
        case ".npy":
            np.save(path, values)
            (folder / "ids.txt").write_text("".join(f"{each}\n" for each in ids))
            return path, str(folder / "ids.txt")
    return path, ""


@pytest.mark.parametrize("kind", [".parquet", ".lists.parquet", ".csv", ".tsv", ".npy"])
def test_each_format_gives_the_same_rows(tmp_path, kind):
    found = vectors.read(*write(tmp_path, kind))
    assert [*found.ids] == IDS and found.values.dtype == np.float16
    assert np.array_equal(found.values, VALUES.astype(np.float16))
    assert found.names == (("x0", "x1", "x2") if kind in (".parquet", ".csv", ".tsv") else ())


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.floats(-60_000, 60_000, width=32), min_size=2, max_size=2), min_size=1, max_size=5).filter(
        lambda rows: (np.abs(rows) > 1e-6).all(axis=0).all()
    )
)
@example(rows=[[1.00048828125, 1]])  # half-way between two of float16; CSV writes a little more
def test_formats_agree_to_the_last_bit_whatever_the_numbers(tmp_path_factory, rows):
    folder, ids = tmp_path_factory.mktemp("formats"), [f"photo {number}" for number in range(len(rows))]
    found = [vectors.read(*write(folder, kind, np.float32(rows), ids)).values for kind in (".parquet", ".csv", ".npy")]
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


def test_one_number_a_photo_is_enough(tmp_path):
    np.save(tmp_path / "prices.npy", np.array([3, 20, 499]))
    np.save(tmp_path / "ids.npy", np.array([7, 8, 9]))
    found = vectors.read(tmp_path / "prices.npy", str(tmp_path / "ids.npy"))
    assert found.values.tolist() == [[3], [20], [499]] and [*found.ids] == ["7", "8", "9"]
    (tmp_path / "prices.csv").write_text("id,price\n7,3\n8,20\n9,499\n")
    again = vectors.read(tmp_path / "prices.csv")
    assert again.values.tobytes() == found.values.tobytes() and again.names == ("price",)


def test_whole_numbers_halves_and_truth_values_are_numbers(tmp_path):
    made = pd.DataFrame({"id": [1, 2], "a": [1, 2], "b": np.float16([0.5, 1]), "c": [True, False]})
    made.to_parquet(tmp_path / "a.parquet")
    assert vectors.read(tmp_path / "a.parquet").values.tolist() == [[1, 0.5, 1], [2, 1, 0]]


def test_ids_are_found_by_their_columns_name_or_in_pandas_index(tmp_path):
    path = tmp_path / "a.parquet"
    for name, asked in (("Image Path", ""), ("sku", "sku"), ("sku", "SKU ")):
        frame(name=name).to_parquet(path)
        assert [*vectors.read(path, asked).ids] == IDS
    frame().set_index("id").to_parquet(path)
    assert [*vectors.read(path).ids] == IDS
    frame().set_index("id").rename_axis(None).to_parquet(path)
    assert [*vectors.read(path).ids] == IDS
    frame().set_index("id").rename_axis(None).to_csv(tmp_path / "a.csv")
    assert [*vectors.read(tmp_path / "a.csv").ids] == IDS


def test_equal_rows_of_an_id_are_one_and_different_ones_are_refused(tmp_path):
    twice = frame(VALUES[[0, 1, 0]], ["a", "b", "a"])
    twice.to_csv(tmp_path / "a.csv", index=False)
    assert [*vectors.read(tmp_path / "a.csv").ids] == ["a", "b"]
    twice.assign(x1=[1, 2, 3]).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match=r"two rows of 'a' that differ, the 1\. and the 3\.: keep one"):
        vectors.read(tmp_path / "a.csv")


@pytest.mark.parametrize("kind", [".parquet", ".lists.parquet", ".csv", ".npy"])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.nan, r"holds no number .* in 1 row, for example in .* of 'b\.jpg'"),
        (-np.inf, r"holds no number .* in 1 row, for example in .* of 'b\.jpg'"),
        (70_000, r"numbers beyond 65,504, for example 70,000 in .* of 'b\.jpg', and stores are of float16: divide"),
    ],
)
def test_what_float16_does_not_hold_is_refused(tmp_path, kind, value, told):
    odd = VALUES.copy()
    odd[1, 2] = value
    with pytest.raises(InputError, match=told):
        vectors.read(*write(tmp_path, kind, odd))


def test_numbers_that_float16_takes_for_zero_are_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"all numbers in the column 'x1' are at most 8e-09, which float16, .* takes for 0"
    ):
        vectors.read(*write(tmp_path, ".csv", VALUES * [1, 1e-9, 1]))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,a,brand\n1,2,nike\n", r"column 'brand': expected numbers, found 'nike': drop the column"),
        ("id,a\n1,1_0\n", "expected numbers, found '1_0'"),
        ('id,a\n1,"[1, 2]"\n', r"found '\[1, 2\]'.* Lists of numbers are read from Parquet"),
        ("id,a,b\n1,,2\n", "holds no number .* in the column 'a' of '1'"),
        ("id,a\n", "holds no numbers: expected a row for each photo"),
        ("id\n1\n", "holds no numbers"),
        (
            "sku,a\n1,2\n",
            "has no column of photos' ids: expected one called image, .* found sku, a. Name it with --ids",
        ),
        ("id,path,a\n1,2,3\n", "has 2 columns that may name photos, id and path: say --ids"),
        (",id,a\n0,1,2\n", "has a column without a name beside 'id', as pandas writes an index"),
        ("id,a\n1,2\n ,3\n", r"has a row without an id, the 2\. one"),
        ("", "is not a CSV table"),
    ],
)
def test_a_table_that_is_no_table_of_numbers_is_refused(tmp_path, text, told):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=told):
        vectors.read(tmp_path / "a.csv")


def test_lists_of_several_lengths_or_beside_other_columns_are_refused(tmp_path):
    path, made = tmp_path / "a.parquet", pd.DataFrame({"id": ["a", "b"], "v": [[1.0, 2.0], [3.0]]})
    made.to_parquet(path)
    with pytest.raises(InputError, match=r"column 'v': the lists differ in length, 2 numbers of 'a' and 1 of 'b'"):
        vectors.read(path)
    made.assign(v=[[1.0, 2.0], None]).to_parquet(path)
    with pytest.raises(InputError, match=r"2 numbers of 'a' and 0 of 'b'"):
        vectors.read(path)
    made.assign(v=[[1.0, 2.0]] * 2, price=3).to_parquet(path)
    with pytest.raises(InputError, match=r"the column 'v' holds lists, and there are others beside it, price"):
        vectors.read(path)
    made.assign(v=[["x", "y"]] * 2).to_parquet(path)
    with pytest.raises(InputError, match="expected numbers, found 'x'"):
        vectors.read(path)
    made.assign(v=pd.to_datetime(["2026-01-01"] * 2)).to_parquet(path)
    with pytest.raises(InputError, match=r"expected numbers, found 'cells of the type timestamp"):
        vectors.read(path)
    made.assign(id=[0.5, 1.5], v=1).to_parquet(path)
    with pytest.raises(InputError, match="ids are floating-point numbers: save them as text"):
        vectors.read(path)


def test_arrays_and_their_ids_are_checked(tmp_path):
    path, ids = write(tmp_path, ".npy")

    def refuses(told, named=ids):
        with pytest.raises(InputError, match=told):
            vectors.read(path, named)

    refuses("holds no ids: name a file of them", "")
    refuses("is no file of ids: expected one that ends in .txt .* or .npy", "id")
    (tmp_path / "few.txt").write_text("a\nb\n")
    refuses("has 3 rows, and .*few.txt 2 ids: expected as many", str(tmp_path / "few.txt"))
    np.save(tmp_path / "odd.npy", VALUES)
    refuses("holds float32 .* expected texts or whole numbers", str(tmp_path / "odd.npy"))
    np.save(path, np.array([{"runs": "code"}], object), allow_pickle=True)
    refuses("is no array that NumPy reads without running code")
    np.save(path, np.zeros((3, 2, 2)))
    refuses(r"holds float64 \[3, 2, 2\]; expected numbers, \[n, d\] or \[n\]")
    path.write_bytes(b"")
    refuses("is no array that NumPy reads")


def test_other_files_and_damaged_ones_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"is no table of features: expected a file that ends in .*\.npy"):
        vectors.read(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"There is no file .*a\.parquet: name a table of features"):
        vectors.read(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="is not a complete Parquet file"):
        vectors.read(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"has no column 'skus', which --ids names. Did you mean sku"):
        frame(name="sku").to_parquet(tmp_path / "a.parquet")
        vectors.read(tmp_path / "a.parquet", "skus")
