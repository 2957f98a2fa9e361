"""`Labeller` says of any photo, however it is given, what a file of its pixels gets, and writes nothing."""

import concurrent.futures
import io
import pathlib
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mlob
from mlob.data import images
from mlob.errors import InputError
from mlob.runs import answering, labeller, predict


def painted(red, blue, height=48, width=32):
    """A photo of which so many grey levels of 255 are red, and blue, in the mean; it is not blank."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 0], pixels[:, :, 2] = red, blue
    pixels[: height // 2, :, 1] = 200
    return pixels


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


PHOTOS = [painted(250, 10), painted(20, 240), painted(130, 20)]


@pytest.fixture(scope="module")
def ready(colours):
    return mlob.Labeller.load(colours)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number, pixels in enumerate(PHOTOS):
        (folder / f"{number}.png").write_bytes(png(pixels))
    return sorted(folder.iterdir())


def files_in(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


KINDS = {
    "path": lambda path: path,
    "text": str,
    "bytes": pathlib.Path.read_bytes,
    "Pillow": Image.open,
    "array": lambda path: np.asarray(Image.open(path)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_gets_the_same_answer_however_it_is_given(kind, ready, paths):
    given = [KINDS[kind](path) for path in paths]
    expected, found = ready.predict_proba(paths), ready.predict_proba(given)
    assert list(found.columns) == ["red", "blue", "long", "short"] and {*found.dtypes} == {np.dtype(np.float32)}
    assert np.array_equal(found, expected) and len(np.unique(found["red"])) == 3
    names = [*map(str, paths)] if kind in ("path", "text") else ["0", "1", "2"]
    assert list(found.index) == names
    rows = ready.predict(given)
    assert list(dict.fromkeys(rows["image"])) == names
    pd.testing.assert_frame_equal(rows.drop(columns="image"), ready.predict(paths).drop(columns="image"))


def test_a_batch_of_arrays_is_a_list_of_photos(ready):
    assert np.array_equal(ready.predict_proba(np.stack(PHOTOS)), ready.predict_proba(PHOTOS))


def test_labels_are_those_whose_probability_is_reached_the_likeliest_first(ready):
    rows = ready.predict(PHOTOS)
    assert tuple(rows.columns) == predict.COLUMNS
    given = {image: list(own["label"]) for image, own in rows.groupby("image")}
    assert given == {"0": ["red", "short"], "1": ["blue", "short"], "2": ["short", "red"]}
    assert (rows["probability"] >= rows["threshold"]).all() and (rows["failure"] == "").all()
    probabilities = ready.predict_proba(PHOTOS)
    for row in rows.itertuples():
        assert row.probability == pytest.approx(probabilities.loc[row.image, row.label], abs=1e-4)


def broken():
    """An image of Pillow whose file ends too early."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    return Image.open(io.BytesIO(png(noise)[:1000]))


UNREADABLE = {
    "no file": (pathlib.Path("nowhere.jpg"), "no file"),
    "empty": (b"", "empty file"),
    "no image": (b"no photo at all", "not an image"),
    "blank": (np.full((9, 9, 3), 7, np.uint8), "blank: one uniform colour"),
    "cut short": (broken, "not decoded"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_photo_that_cannot_be_read_is_told_in_its_place(case, ready):
    photo, reason = UNREADABLE[case]
    photos = [PHOTOS[0], photo() if callable(photo) else photo, PHOTOS[1]]
    rows = ready.predict(photos)
    failed = rows[rows["failure"] != ""]
    assert len(failed) == 1 and failed.iloc[0]["failure"].startswith(reason)
    assert failed.iloc[0]["label"] == "" and np.isnan(failed.iloc[0]["probability"])
    with pytest.warns(UserWarning, match=rf"1 of 3 photos could not be read \({reason}"):
        found = ready.predict_proba(photos)
    assert found.iloc[1].isna().all()
    assert np.array_equal(found.iloc[[0, 2]], ready.predict_proba([PHOTOS[0], PHOTOS[1]]))


def test_too_many_pixels_are_refused_before_they_are_copied(ready, monkeypatch):
    monkeypatch.setattr(images, "MOST_PIXELS", PHOTOS[0].size // 3 - 1)
    assert ready.predict([PHOTOS[0]])["failure"].tolist() == ["too many pixels"]


NO_PHOTOS = {
    "a path alone": ("a.jpg", r"a list of photos, found one of type str: of a single one make a list, \[photo\]"),
    "an array alone": (PHOTOS[0], r"found an array \(48, 32, 3\)"),
    "grey": ([PHOTOS[0][:, :, 0]], r"array uint8 \(48, 32\): expected uint8 \(height, width, 3\)"),
    "floats": ([PHOTOS[0] / 255], r"array float64"),
    "nothing in it": ([PHOTOS[0][:0]], r"array uint8 \(0, 32, 3\)"),
    "a number": ([7], "A photo is int: expected a path, the bytes of a file"),
}


@pytest.mark.parametrize("case", NO_PHOTOS)
def test_what_is_no_list_of_photos_is_refused_with_what_was_expected(case, ready):
    photos, message = NO_PHOTOS[case]
    with pytest.raises(InputError, match=message):
        ready.predict(photos)


def test_no_photos_give_tables_without_rows(ready):
    assert ready.predict([]).shape == (0, len(predict.COLUMNS)) and ready.predict_proba([]).shape == (0, 4)


def test_photos_go_through_in_blocks_in_their_order(ready, monkeypatch):
    photos = [PHOTOS[number] for number in (2, 0, 1, 0, 2, 1, 1)]
    expected = ready.predict_proba(photos)
    monkeypatch.setattr(labeller, "BLOCK", 3)
    pd.testing.assert_frame_equal(ready.predict_proba(photos), expected)
    assert np.array_equal(expected.iloc[[1, 2, 0]], ready.predict_proba(PHOTOS))


def test_threads_get_the_answers_on_their_own_photos(ready):
    reds = list(range(0, 250, 10))
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda red: ready.predict_proba([painted(red, 40, 96, 96)]), reds))
    assert [one.iloc[0]["red"] for one in found] == pytest.approx([red / 255 for red in reds], abs=2e-4)


def test_a_folder_of_runs_is_enough_wherever_it_lies_and_nothing_is_written(colours, paths, tmp_path, monkeypatch):
    shutil.copytree(colours, tmp_path / "elsewhere")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = files_in(tmp_path), files_in(paths[0].parent)
    found = mlob.Labeller.load("../elsewhere").predict_proba(paths)
    assert np.array_equal(found, mlob.Labeller.load(colours).predict_proba(paths))
    assert (files_in(tmp_path), files_in(paths[0].parent)) == before


def spoil_nothing(folder):
    shutil.rmtree(folder / "ensemble")


LACKING = {
    "an ensemble": (spoil_nothing, r"holds no ensemble: expected a folder of runs .* runs/demo"),
    "a head": (lambda folder: (folder / "mean/head.keras").unlink(), r"head\.keras .*: run `mlob ensemble`"),
    "what is kept": (lambda folder: (folder / "ensemble/predict.json").unlink(), "does not hold what a version"),
    "a fingerprint": (lambda folder: shutil.rmtree(folder / "ensemble/stores"), "holds no features"),
    "a decision": (lambda folder: (folder / "ensemble/decision.npz").write_bytes(b"no"), r"decision\.npz is missing"),
}


@pytest.mark.parametrize("case", LACKING)
def test_what_a_folder_lacks_is_told_when_it_is_loaded(case, colours, tmp_path):
    spoil, message = LACKING[case]
    folder = tmp_path / "runs"
    shutil.copytree(colours, folder)
    spoil(folder)
    with pytest.raises(InputError, match=message):
        mlob.Labeller.load(folder)


def test_photos_that_are_kept_on_disk_get_the_same_labels(colours, ready, paths, tmp_path):
    made = answering.load(colours)
    extract = answering.on_disk(made.seen, tmp_path / "features")
    for _ in range(2):
        labelled = predict.label([*paths, tmp_path / "nowhere.jpg"], made, extract)
        pd.testing.assert_frame_equal(predict.table(labelled), ready.predict([*paths, tmp_path / "nowhere.jpg"]))
    assert list(tmp_path.glob("features/pixels/predicted/*/*.h5"))


def test_an_ensemble_that_reads_texts_asks_for_as_many_as_there_are_photos(ready, monkeypatch):
    with pytest.raises(InputError, match=r"There are 3 photos, but texts= is not a list of 3 texts"):
        ready.predict(PHOTOS, ["a", "b"])
    monkeypatch.setattr(answering.Ensemble, "readers_of_texts", ["words"])
    with pytest.raises(InputError, match=r"reads texts beside photos \(words\): give them as texts=, one a photo"):
        ready.predict(PHOTOS)


def test_the_package_gives_no_other_name_late():
    with pytest.raises(AttributeError, match="no attribute 'Lebeller'"):
        mlob.Lebeller  # noqa: B018
