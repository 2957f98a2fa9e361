"""One set of photos, laid out as each format has it, is one data set: same photos, same splits, same labels."""

import csv
import json

from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import write

from mlob.data.annotations.styles import GROUPS
from mlob.data.dataset import read_dataset

SPLITS = ("train", "validation", "test")
TYPE = "articleType"
OTHERS = [group for group in GROUPS if group != TYPE]
PRODUCTS = st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from(["", "x", "y"]), min_size=6, max_size=6))


def rows(products):
    """A row for each product: every split and every type is there."""
    firsts = [(kind, ["x"] * len(OTHERS)) for kind in "abc" for _ in SPLITS]
    return [
        {"id": str(number), "split": SPLITS[number % 3], TYPE: kind, **dict(zip(OTHERS, others, strict=True))}
        for number, (kind, others) in enumerate([*firsts, *products], 1)
    ]


def write_table(path, table, header):
    path.parent.mkdir()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(table)


def as_styles(folder, table):
    write_table(folder / "styles.csv", table, ["id", *GROUPS, "split"])


def as_table(folder, table):
    write_table(folder / "photos.csv", table, ["split", *GROUPS, "id"])


def as_class_folders(folder, table):
    for row in table:
        write(folder / row["split"] / row[TYPE] / f"{row['id']}.jpg", b"")


def as_imaterialist(folder, table):
    pairs = sorted({(group, row[group]) for row in table for group in GROUPS if row[group]})
    numbers = {pair: number for number, pair in enumerate(pairs, 1)}
    lines = [f"{number},{group},{name}" for (group, name), number in numbers.items()]
    write(folder / "label_map.csv", "\n".join(["labelId,taskName,labelName", *lines]))
    for split in SPLITS:
        own = [row for row in table if row["split"] == split]
        has = [
            {"imageId": row["id"], "labelId": [numbers[group, row[group]] for group in GROUPS if row[group]]}
            for row in own
        ]
        write(
            folder / f"{split}.json",
            json.dumps({"images": [{"imageId": row["id"]} for row in own], "annotations": has}),
        )


def as_coco(folder, table):
    kinds = {kind: number for number, kind in enumerate(sorted({row[TYPE] for row in table}))}
    categories = [{"id": number, "name": kind} for kind, number in kinds.items()]
    for split in SPLITS:
        own = [row for row in table if row["split"] == split]
        images = [{"id": int(row["id"]), "file_name": f"{row['id']}.jpg"} for row in own]
        has = [{"image_id": int(row["id"]), "category_id": kinds[row[TYPE]]} for row in own]
        content = {"images": images, "categories": categories, "annotations": has}
        write(folder / f"{split}2019.json", json.dumps(content))


def labelled(folder, groups=GROUPS):
    """{(split, id): its (group, name) pairs}, of some groups; the only group of a format without groups is the type."""
    data = read_dataset(folder)
    pairs = [
        (TYPE if group in ("class", "category") else group, name)
        for group, name in zip(data.labels.groups, data.labels.names, strict=True)
    ]
    return {
        (split.name, name.rsplit("/")[-1].removesuffix(".jpg")): {
            pairs[column] for column in row.nonzero()[0] if pairs[column][0] in groups
        }
        for split in data.splits.values()
        for name, row in zip(split.ids, split.targets, strict=True)
    }


@settings(deadline=None, max_examples=10)
@given(st.lists(PRODUCTS, max_size=8))
def test_every_format_gives_the_same_targets(tmp_path_factory, products):
    folder, table = tmp_path_factory.mktemp("data"), rows(products)
    for write_as in (as_styles, as_table, as_class_folders, as_imaterialist, as_coco):
        write_as(folder / write_as.__name__, table)
    expected = {(row["split"], row["id"]): {(group, row[group]) for group in GROUPS if row[group]} for row in table}
    for name in ("as_styles", "as_table", "as_imaterialist"):
        assert labelled(folder / name) == expected
    types = {photo: {pair for pair in pairs if pair[0] == TYPE} for photo, pairs in expected.items()}
    for name in ("as_class_folders", "as_coco"):
        assert labelled(folder / name, (TYPE,)) == types
    assert read_dataset(folder / "as_styles").digest == read_dataset(folder / "as_table").digest
