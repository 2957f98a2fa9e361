"""From each format of annotations to a submission: the same photos, laid out as each format has them."""

import csv
import json
import os
import shutil
import types

import h5py
import numpy as np
import pyarrow
import pytest
from layouts import write
from PIL import Image
from pyarrow import parquet

from mlob.data.annotations.formats import FORMATS
from mlob.features import forms, runtimes

SUITE = """
from mlob.recipes import Ensemble, Suite

ENSEMBLE = Ensemble(methods=("best single",), rules=("one threshold",), folds=3, draws=10)
recipe = Suite("photos", members=("linear",), ensemble=ENSEMBLE)
"""
EXPERIMENT = """
from mlob.recipes import LINEAR, Experiment, Training

recipe = Experiment(("average",), LINEAR, Training(epochs=2))
"""
FEATURES = """
from mlob.recipes import FeatureSet

recipe = FeatureSet("efficientnet_lite0")
"""
COLOURS = {"blue": (30, 60, 200), "green": (40, 180, 60), "red": (200, 40, 40)}
SPLITS = {"train": 12, "validation": 6, "test": 3}
ROWS = [  # split, id, colour
    (split, str(100 * number + row), list(COLOURS)[row % len(COLOURS)])
    for number, (split, count) in enumerate(SPLITS.items(), 1)
    for row in range(count)
]
TEST = {name for split, name, _ in ROWS if split == "test"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a suite of one linear model, and photos of one colour each, <id>.jpg."""
    folder = tmp_path_factory.mktemp("workplace")
    write(folder / "features/average.py", FEATURES)
    write(folder / "experiments/tiny/suite.py", SUITE)
    write(folder / "experiments/tiny/linear.py", EXPERIMENT)
    generator = np.random.default_rng(0)
    (folder / "drawn").mkdir()
    for _, name, colour in ROWS:
        pixels = np.clip(generator.normal(COLOURS[colour], 20, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"drawn/{name}.jpg")
    return folder


def flat(folder, drawn, home="images"):
    shutil.copytree(drawn, folder / home)


def as_one_table(folder, drawn, name="photos.csv"):
    flat(folder, drawn)
    lines = [f"{photo}.jpg,{colour * (split != 'test')},{split}" for split, photo, colour in ROWS]
    write(folder / name, "\n".join(["image,colour,split", *lines]))


def as_a_table(folder, drawn):
    as_one_table(folder, drawn, "mine.csv")


def as_styles(folder, drawn):
    flat(folder, drawn)
    blank = "," * 5
    lines = [f"{photo}{blank}{colour * (split != 'test')},,,{split},a, b" for split, photo, colour in ROWS]
    header = "id,gender,masterCategory,subCategory,articleType,baseColour,season,usage,split,productDisplayName"
    write(folder / "styles.csv", "\n".join([header, *lines]))


def as_imaterialist(folder, drawn):
    flat(folder, drawn)
    for split in SPLITS:
        own = [(photo, colour) for of, photo, colour in ROWS if of == split]
        content = {"images": [{"imageId": photo} for photo, _ in own]}
        if split != "test":
            content["annotations"] = [
                {"imageId": photo, "labelId": [list(COLOURS).index(colour)]} for photo, colour in own
            ]
        write(folder / f"{split}.json", json.dumps(content))


def as_imaterialist_2017(folder, drawn):
    flat(folder, drawn)
    write(folder / "a.task_map.json", json.dumps({"taskInfo": [{"taskId": "6", "taskName": "dress:color"}]}))
    labels = [{"labelId": str(number), "labelName": colour} for number, colour in enumerate(COLOURS)]
    write(folder / "a.label_map.json", json.dumps({"labelInfo": labels}))
    for split, file in {"train": "train.data", "validation": "validation.data", "test": "test.image"}.items():
        own = [(photo, colour) for of, photo, colour in ROWS if of == split]
        content = {"images": [{"imageId": photo, "url": []} for photo, _ in own]}
        if split != "test":  # nobody was asked about the first photo
            content["annotations"] = [
                {"imageId": photo, "taskId": "6", "labelId": str(list(COLOURS).index(colour))}
                for photo, colour in own[1:]
            ]
        write(folder / f"a.{file}.json", json.dumps(content))


def as_coco(folder, drawn):
    flat(folder, drawn, "train_val2019")
    names = [*COLOURS]
    categories = [{"id": number, "name": name, "genus": f"G{number > 1}"} for number, name in enumerate(names)]
    for split in SPLITS:
        own = [(photo, colour) for of, photo, colour in ROWS if of == split]
        content = {"images": [{"id": int(photo), "file_name": f"train_val2019/{photo}.jpg"} for photo, _ in own]}
        if split != "test":
            pairs = [{"image_id": int(photo), "category_id": names.index(colour)} for photo, colour in own]
            content |= {"categories": categories, "annotations": pairs}
        write(folder / f"{split}2019.json", json.dumps(content))


def as_label_studio(folder, drawn):
    flat(folder, drawn)
    tasks = []
    for split, photo, colour in ROWS:
        result = {"type": "choices", "from_name": "colour", "value": {"choices": [colour]}}
        answers = [{"id": 1, "result": [result]}] if split != "test" else []
        tasks.append({"id": int(photo), "data": {"image": f"/data/upload/1/{photo}.jpg"}, "annotations": answers})
    write(folder / "project.json", json.dumps(tasks))


def as_hugging_face(folder, drawn):
    folder.mkdir(parents=True)
    for split in SPLITS:
        own = [(f"{photo}.jpg", colour) for of, photo, colour in ROWS if of == split]
        photos = [{"bytes": (drawn / file).read_bytes(), "path": file} for file, _ in own]
        colours = [colour if split != "test" else "" for _, colour in own]
        parquet.write_table(pyarrow.table({"image": photos, "colour": colours}), folder / f"{split}.parquet")


def as_class_folders(folder, drawn):
    for split, photo, colour in ROWS:
        home = folder / split / (colour if split != "test" else "")
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn / f"{photo}.jpg", home)


WRITERS = {
    "one table": as_one_table,
    "a table": as_a_table,
    "Fashion Product Images": as_styles,
    "iMaterialist 2018": as_imaterialist,
    "iMaterialist 2017": as_imaterialist_2017,
    "COCO, iNaturalist": as_coco,
    "Label Studio": as_label_studio,
    "Hugging Face": as_hugging_face,
    "folders of classes": as_class_folders,
}


@pytest.fixture
def network(monkeypatch):
    """Features are the mean colours of 16 parts of a photo: a network takes seconds to build."""

    def forward(photos):
        photos = np.asarray(photos, np.float32)
        return photos.reshape(len(photos), 4, photos.shape[1] // 4, 4, -1, 3).mean(axis=(2, 4)).reshape(len(photos), -1)

    made = types.SimpleNamespace(count_params=lambda: 0)
    monkeypatch.setattr(forms.Forms, "model", lambda *_: made)
    monkeypatch.setattr(forms.Forms, "runner", lambda *_: runtimes.Runner(forward))
    monkeypatch.setattr(runtimes, "choose", lambda *_: runtimes.Choice("keras", "float32"))


def test_every_format_is_here():
    assert WRITERS.keys() == FORMATS.keys()


@pytest.fixture
def submitted(workplace, network, tmp_path, command):
    """Go from a format's folder to a submission: give the folder of the ensemble, and what was printed."""

    def submit(name):
        WRITERS[name](tmp_path / name / "data", workplace / "drawn")
        own = {kind.upper(): str(tmp_path / name / kind) for kind in ("data", "features", "runs")}
        status, printed = command(workplace, "submission", SUITE="tiny", **own)
        assert status == 0, printed
        return tmp_path / name / "runs/tiny/ensemble", printed

    return submit


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_of_each_format_ends_in_a_submission(submitted, name):
    ensemble, printed = submitted(name)
    assert f"Read as {name}, told by " in printed
    with open(ensemble / "submission.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    assert sorted(os.path.basename(row[0]).removesuffix(".jpg") for row in rows) == sorted(TEST)


def test_the_same_photos_in_the_same_order_have_the_same_figures_in_every_format(submitted):
    names = ("a table", "Fashion Product Images", "iMaterialist 2018")
    ensembles = [submitted(name)[0] for name in names]
    figures = [json.loads((folder / "ensemble.json").read_text())["methods"] for folder in ensembles]
    scores = [[(each["method"], each["thresholds"], each["scores"]) for each in of_format] for of_format in figures]
    assert scores[0] == scores[1] == scores[2]
    one, *others = [probabilities(folder / "predictions.h5") for folder in ensembles]
    assert len(np.unique(one)) > len(one) and all(np.array_equal(one, other) for other in others)


def probabilities(path):
    with h5py.File(path) as file:
        return np.concatenate([file[split]["probabilities"][:] for split in ("validation", "test")])
