import csv
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from mlob.data import demo, drawing, garments
from mlob.errors import InputError

LABELLED = ("train", "validation")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return demo.draw(tmp_path_factory.mktemp("demo") / "made", photos=60)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def table(folder, split):
    return json.loads((folder / f"{split}.json").read_text())


def photos(folder):
    """(split, id) -> the photo's bytes."""
    return {
        (split, row["imageId"]): (folder / row["url"]).read_bytes()
        for split in demo.FAVOURED
        for row in table(folder, split)["images"]
    }


def label_map(folder):
    with open(folder / "label_map.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def usable(content):
    """Whether a photo opens, in full, and shows anything."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.ptp(np.asarray(image.convert("RGBA")), axis=(0, 1)).any()
    except OSError:
        return False


def test_a_seed_always_gives_the_same_bytes(folder, tmp_path):
    again, other = demo.draw(tmp_path / "again", photos=60), demo.draw(tmp_path / "other", photos=6, seed=1)
    assert files(again) == files(folder)
    assert not set(photos(other).values()) & set(photos(folder).values())


def test_nothing_is_left_beside_the_data_set(folder):
    assert list(folder.parent.iterdir()) == [folder]


def test_ids_count_from_1_in_every_split_and_name_every_file(folder):
    for split, rows in {"train": 40, "validation": 11, "test": 9}.items():
        images = table(folder, split)["images"]
        assert [row["imageId"] for row in images] == [str(number) for number in range(1, rows + 1)]
        urls = {f"images/{split}/{path.name}" for path in (folder / "images" / split).iterdir()}
        assert {row["url"] for row in images} == urls
        assert all(row["url"].rsplit("/")[-1].split(".")[0] == row["imageId"] for row in images)


def test_test_is_unlabelled_and_other_annotations_name_known_images_and_labels(folder):
    known = {row["labelId"] for row in label_map(folder)}
    assert "annotations" not in table(folder, "test")
    for split in LABELLED:
        images, annotations = table(folder, split)["images"], table(folder, split)["annotations"]
        assert [row["imageId"] for row in annotations] == [row["imageId"] for row in images]
        for row in annotations:
            assert len(row["labelId"]) == len(set(row["labelId"])) >= 3
            assert set(row["labelId"]) <= known


def test_the_label_map_counts_from_1_and_names_each_label_and_group_once(folder):
    rows = label_map(folder)
    assert [row["labelId"] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    assert len({row["labelName"] for row in rows}) == len(rows)
    assert len({row["taskId"] for row in rows}) == len({row["taskName"] for row in rows})
    assert len({(row["taskId"], row["taskName"]) for row in rows}) == len(garments.GROUPS)


def test_at_least_24_labels_are_used_and_their_counts_have_a_long_tail(folder):
    rows = [row for split in LABELLED for row in table(folder, split)["annotations"]]
    counts = np.unique([label for row in rows for label in row["labelId"]], return_counts=True)[1]
    assert len(counts) >= 24
    assert counts.max() > 3 * np.median(counts) > 6 * counts.min()


def test_chances_fall_with_the_rank_and_are_doubled_for_the_favoured():
    rng, ranks = np.random.default_rng(0), np.array([1, 2, 3, 4])
    for favoured, factors in (((), [1, 1, 1, 1]), (("c",), [1, 1, 2, 1])):
        drawn = [drawing.pick("abcd", rng, favoured) for _ in range(4000)]
        weights = np.array([drawn.count(option) for option in "abcd"]) * ranks / factors
        np.testing.assert_allclose(weights, weights.mean(), rtol=0.15)


def test_every_garment_has_one_category_one_pattern_and_one_or_two_colours(folder):
    groups = {row["labelId"]: row["taskName"] for row in label_map(folder)}
    for split in LABELLED:
        for row in table(folder, split)["annotations"]:
            found = [groups[label] for label in row["labelId"]]
            assert found.count("category") == found.count("pattern") == 1
            assert found.count("colour") in (1, 2)


def test_just_the_spoilt_photos_do_not_open_or_are_blank(folder):
    assert {row for row, content in photos(folder).items() if not usable(content)} == set(demo.SPOILT)


def test_some_photos_are_byte_equal_in_two_splits(folder):
    found, labels = photos(folder), {}
    for split in LABELLED:
        labels |= {(split, row["imageId"]): row["labelId"] for row in table(folder, split)["annotations"]}
    for copy, original in demo.TWINS.items():
        assert found[copy] == found[original]
        assert copy[0] == "test" or labels[copy] == labels[original]
    contents = [content for row, content in found.items() if row not in demo.SPOILT]
    assert len(contents) - len(set(contents)) == len(demo.TWINS)


def test_a_change_of_one_label_of_the_look_changes_the_photo():
    """Every label can be seen: the same hand draws another photo for each."""
    look = {"category": "dress", "pattern": "plain", "colour": "red", "second colour": "", "detail": ""}
    look |= {"neckline": "round neck", "sleeve": "sleeveless", "length": "maxi"}
    changed = [look]
    for group in garments.GROUPS:
        changed += [look | {group: label} for label in garments.GROUPS[group] if look[group] != label]
    size = np.array([96, 128])
    drawn = {drawing.garment(one, size, np.random.default_rng(0)).tobytes() for one in changed}
    assert len(drawn) == len(changed)


def shares(look):
    """The share of the garment's pixels in each colour of its look."""
    drawn = np.asarray(drawing.garment(look, np.array([72, 96]), np.random.default_rng(0))).astype(int)
    cloth = drawn[drawn[..., 3] == 255][:, :3]
    colours = [garments.COLOURS[look[name]] for name in ("colour", "second colour")]
    return [np.mean(np.abs(cloth - colour).max(axis=1) < 40) for colour in colours]


@pytest.mark.parametrize("pattern", [pattern for pattern in garments.PATTERNS if pattern != "plain"])
@pytest.mark.parametrize("category", garments.GARMENTS)
def test_both_colours_show_on_every_garment_of_any_length(category, pattern):
    look = {group: labels[0] for group, labels in garments.GARMENTS[category].options.items()}
    look |= {"category": category, "pattern": pattern, "colour": "white", "second colour": "red"}
    for length in garments.GARMENTS[category].options.get("length", ("",)):
        assert min(shares(look | {"length": length})) > 0.1


def kinds(look):
    """The (format, mode, EXIF orientation) in which a hundred photos of the look come."""
    rng, garment = np.random.default_rng(0), Image.new("RGBA", (40, 50), "red")
    opened = [Image.open(io.BytesIO(drawing.file(look, garment, rng)[1])) for _ in range(100)]
    return {(image.format, image.mode, image.getexif().get(0x0112)) for image in opened}


def test_photos_come_as_jpeg_and_png_and_lying_on_their_side_and_grey_where_no_colour_is_lost():
    coloured = {("JPEG", "RGB", None), ("JPEG", "RGB", 6), ("PNG", "RGBA", None)}
    assert kinds({"colour": "red", "second colour": "white"}) == coloured
    assert ("JPEG", "L", None) in kinds({"colour": "black", "second colour": "white"})


def test_a_photo_on_its_side_is_stood_up_by_its_exif_orientation():
    """Whatever the file, the photo as shown is as tall as the garment's picture."""
    rng, garment = np.random.default_rng(0), Image.new("RGBA", (40, 50), "red")
    for _ in range(100):
        shown = Image.open(io.BytesIO(drawing.file({"colour": "red", "second colour": ""}, garment, rng)[1]))
        assert ImageOps.exif_transpose(shown).size == (40, 50)


def test_a_made_folder_is_left_alone(tmp_path):
    (tmp_path / "train.json").write_text("mine")
    assert demo.draw(tmp_path, photos=60) == tmp_path
    assert files(tmp_path) == {"train.json": b"mine"}


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds files but no train\.json"):
        demo.draw(tmp_path, photos=60)
    assert files(tmp_path) == {"notes.txt": b"mine"}


def test_a_run_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(drawing, "file", fail)
    with pytest.raises(KeyboardInterrupt):
        demo.draw(tmp_path / "made", photos=60)
    assert list(tmp_path.iterdir()) == []
