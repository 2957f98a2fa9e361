"""Texts beside photos as features: a row belongs to a text, and rows are held together by photos."""

import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.features import backbones, store, table, texts
from mlob.recipes import Detector, FeatureSet, Text
from mlob.training import batches

TITLES = ("red dress", "blue dress", "red shirt", "", "Shirt, RED!", "a dress of many colours")
COUNTS = FeatureSet("text", text=Text("counts", terms=50))
TFIDF = FeatureSet("text", text=Text("tfidf", terms=50))


def titled(folder, drawn, titles):
    """Copy drawn photos into a folder with a table that gives each a title, over and over the same ones."""
    found = read_dataset(drawn)
    shutil.copytree(drawn / "images", folder / "images")
    rows = ["image,title,split,kind"]
    for split in found.splits.values():
        for number, name in enumerate(split.ids):
            title = titles[number % len(titles)].replace('"', '""')
            rows.append(f'{split.name}/{name}.png,"{title}",{split.name},{"ab"[number % 2]}')
    (folder / "photos.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return read_again(folder)


def read_again(folder):
    from mlob.recipes import Annotations

    return read_dataset(folder, asked=Annotations(text="title"))


@pytest.fixture
def made(tmp_path, drawn):
    """A data set with titles, and its store of counts."""
    dataset = titled(tmp_path / "photos", drawn, TITLES)
    texts.extract("words", COUNTS, tmp_path / "store/words/photos", dataset)
    return dataset, tmp_path / "store/words/photos"


def test_a_photo_has_the_row_of_its_own_text(made):
    dataset, folder = made
    terms = texts.read_terms(folder).names
    for split in dataset.splits.values():
        rows = batches.read([folder], split)
        assert rows.ids.tolist() == list(split.ids)
        for text, row in zip(split.texts, rows.features[:], strict=True):
            words = [word for word in text.lower().replace(",", " ").replace("!", " ").split() if len(word) > 1]
            assert {term: row[terms.index(term)] for term in terms if row[terms.index(term)]} == {
                **{word: words.count(word) for word in words if word in terms},
                **{f"{one} {other}": 1 for one, other in itertools.pairwise(words)},
            }


def test_equal_texts_share_a_row_and_rows_go_by_the_content_of_photos(made):
    dataset, folder = made
    different = {text for split in dataset.splits.values() for text in split.texts}
    assert len(table.read(folder).digests) == len(different)
    photos = {split: table.locate(folder, found).digests for split, found in dataset.splits.items()}
    assert len({*np.concatenate([*photos.values()]).tolist()}) == sum(map(len, photos.values()))


def test_a_rerun_changes_no_byte_and_new_texts_alone_are_added(made, capsys):
    dataset, folder = made
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    texts.extract("words", COUNTS, folder, dataset)
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()} == before
    digest, table_of = table.content_digest(folder, dataset), dataset.folder / "photos.csv"
    table_of.write_text(table_of.read_text().replace("blue dress", "green dress"))
    grown = read_again(dataset.folder)
    assert texts.lacking(folder, grown) == 1
    texts.extract("words", COUNTS, folder, grown)
    assert texts.lacking(folder, grown) == 0 and len(sorted(folder.glob("*/*.h5"))) == 2
    assert "1 text as" in capsys.readouterr().err
    assert table.content_digest(folder, grown) != digest  # models are trained anew where a text has changed


def test_terms_are_those_of_train_alone(tmp_path, drawn):
    dataset = titled(tmp_path / "photos", drawn, TITLES)
    validation = dataclasses.replace(dataset["validation"], texts=["unheard"] * len(dataset["validation"].ids))
    other = dataclasses.replace(dataset, splits={**dataset.splits, "validation": validation})
    for number, each in enumerate((dataset, other)):
        texts.extract("words", TFIDF, tmp_path / f"store{number}/words/photos", each)
    terms = [texts.read_terms(tmp_path / f"store{number}/words/photos") for number in range(2)]
    assert terms[0] == terms[1] and "unheard" not in terms[0].names
    assert not batches.read([tmp_path / "store1/words/photos"], validation).features[:].any()


def test_rows_of_tfidf_have_length_one_and_rare_terms_weigh_more():
    terms = texts.fit(TFIDF.text, TITLES)
    rows = texts.vectorise(TFIDF.text, terms, ["red colours", "nothing known"]).astype(float)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 0], abs=1e-3)
    assert rows[0][terms.names.index("colours")] > rows[0][terms.names.index("red")] > 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=8), st.sampled_from([COUNTS, TFIDF]))
def test_any_text_gives_finite_rows_that_do_not_depend_on_the_others(given_texts, recipe):
    terms = texts.fit(recipe.text, TITLES)
    rows = texts.vectorise(recipe.text, terms, given_texts)
    assert rows.dtype == np.float16 and rows.shape == (len(given_texts), len(terms.names)) and np.isfinite(rows).all()
    assert np.array_equal(rows[0], texts.vectorise(recipe.text, terms, given_texts[:1])[0])


def test_side_by_side_with_photos_rows_are_those_of_the_same_photos(made):
    dataset, folder = made
    for split in dataset.splits.values():
        rows = batches.read([folder, folder], split)
        assert np.array_equal(*np.split(rows.features[:], 2, axis=1))


def test_a_store_of_other_settings_is_refused(made):
    dataset, folder = made
    with pytest.raises(InputError, match="made with text 'terms 50, weighting counts, words 2', but 'terms 50, weig"):
        texts.extract("words", TFIDF, folder, dataset)


def test_texts_without_a_word_and_data_without_texts_are_refused(tmp_path, drawn):
    dataset = titled(tmp_path / "photos", drawn, ("!", "?"))
    with pytest.raises(InputError, match="beside 12 train photos hold no word of two letters or more"):
        texts.extract("words", COUNTS, tmp_path / "store/words/photos", dataset)
    with pytest.raises(InputError, match=r"words reads a text beside each photo, and .* names none: name the column"):
        texts.check_there("words", COUNTS, read_dataset(drawn))


@pytest.mark.parametrize(
    "wrong",
    [
        FeatureSet("text"),
        FeatureSet("xception", text=Text()),
        FeatureSet("text", pool="max", text=Text()),
        FeatureSet("text", detector=Detector("a.onnx", 64, 3), text=Text()),
    ],
)
def test_other_fields_beside_texts_are_refused(wrong):
    with pytest.raises(InputError, match=r"text|detector"):
        backbones.check(wrong)


def test_a_broken_file_of_terms_is_told(made):
    dataset, folder = made
    (folder / texts.TERMS).write_text(json.dumps({"names": 3}))
    with pytest.raises(InputError, match=r"terms\.json"):
        texts.extract("words", COUNTS, folder, dataset)


def test_photos_are_not_described_by_a_store_that_never_decoded_them(made):
    dataset, folder = made
    assert table.read_photos(folder, dataset) and table.first_whole([folder], dataset) == {}


def test_fingerprints_of_photos_have_no_field_of_texts(made):
    _, folder = made
    assert store.fingerprint(folder).fields()["text"] == "terms 50, weighting counts, words 2"
    assert "text" not in dataclasses.replace(store.fingerprint(folder), text="").fields()
