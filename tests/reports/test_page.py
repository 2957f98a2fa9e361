import html.parser
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlob.errors import InputError
from mlob.labels import Labels
from mlob.reports import page

LABELS = Labels((1, 2, 3), ("Dress", "<b>Tom & Co</b>", "Unseen"), ("category", "brand", "brand"))
SPLIT = {
    "photos": 4,
    "labelled": 4,
    "unlabelled": 0,
    "labels_used": 2,
    "labels_a_photo": {"mean": 1.5, "min": 1, "max": 2},
    "failed": {"photos": 1, "reasons": [{"reason": "blank", "photos": 1, "ids": ["f1"]}]},
}
TOM = {"id": 2, "name": "<b>Tom & Co</b>", "group": "brand", "counts": {"train": 0, "validation": 2}}
FACTS = {
    "photos": 8,
    "labels": 3,
    "labels_used": 2,
    "splits": {"train": SPLIT, "validation": SPLIT | {"failed": None}},
    "counts": {"train": [4, 0, 0], "validation": [3, 2, 0]},
    "commonest": [TOM],
    "rarest": [TOM],
    "unseen": [TOM],
    "equal_between": [{"split": "validation", "other": "train", "by": "content", "photos": 12, "ids": ["v1"]}],
    "equal_within": [{"split": "train", "photos": 1, "ids": [["t1", "t2"]]}],
    "shifted": {
        "significance": 0.01,
        "tested": 3,
        "labels": 1,
        "strongest": [TOM | {"train": 0.0, "validation": 0.5, "ratio": None, "z": 4.0}],
    },
}


def photo(colour="red", size=8):
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, "JPEG")
    return buffer.getvalue()


GALLERY = [
    {"id": "v</script>", "image": photo(), "true": [0, 1], "predicted": np.array([0])},
    {"id": "v2", "image": None, "true": [], "predicted": [1]},
]


@pytest.fixture
def written(suite, tmp_path):
    def write(gallery=GALLERY, facts=FACTS):
        path = tmp_path / "report" / "index.html"
        page.write(path, suite="demo", folder=suite, labels=LABELS, facts=facts, gallery=gallery)
        return path.read_text(encoding="utf-8")

    return write


class Elements(html.parser.HTMLParser):
    """The start tags of a page with their attributes; fails on a page whose tags do not nest."""

    VOID = ("meta", "input", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def gallery_of(text):
    return json.loads(re.search(r'<script type="application/json" id="gallery">(.*?)</script>', text, re.S).group(1))


def test_equal_inputs_give_equal_bytes(written):
    assert written() == written()


def test_nothing_is_fetched(written):
    links = [
        value
        for _, attributes in Elements(written()).found
        for key, value in attributes.items()
        if key in ("src", "href", "data", "action")
    ]
    assert links and all(value.startswith("#") for value in links)
    assert not re.search(r"@import|url\((?!#)|fetch\(", written())


def test_tags_nest_and_ids_are_unique(written):
    ids = [attributes["id"] for _, attributes in Elements(written()).found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_headline_gives_the_choice_its_figure_its_interval_and_how_it_was_judged(written):
    words = " ".join(written().split())
    assert "PSO, per label reaches a micro-F1 of 0.650 (95% interval 0.630 to 0.670) on validation." in words
    assert "cross-fitting in 5 folds" in words and "highest cross-fitted micro-F1 of all" in words


def test_the_headline_tells_how_labelled_test_photos_were_met_where_there_are_some(written, suite):
    assert "labelled test photos" not in written()
    path = suite / "ensemble" / "ensemble.json"
    test = {"photos": 1265, "micro_f1": {"value": 0.89, "low": 0.88, "high": 0.9}}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"test": test}))
    words = " ".join(re.search(r'<p class="lede">(.*?)</p>', written(), re.S).group(1).split())
    assert words.endswith(
        "on validation. Test: micro-F1 0.890 (0.880 to 0.900) on 1,265 labelled test photos, which chose nothing."
    )


def test_sections_stand_in_reading_order(written):
    text = written()
    places = [text.index(f'<h2 id="{name}">') for name in ("results", "figures", "facts", "labels", "photos", "looked")]
    assert places == sorted(places)


def test_random_weights_are_warned_of_and_others_are_not(written, suite):
    assert '<p class="warning"' in written() and ">RANDOM<" in written()
    path = suite / "lite" / "result.json"
    path.write_text(path.read_text().replace('"random"', '"imagenet"'))
    assert '<p class="warning"' not in written() and "RANDOM" not in written()


def test_names_are_escaped_everywhere(written):
    text = written()
    assert "<b>Tom" not in text and "&lt;b&gt;Tom &amp; Co&lt;/b&gt;" in text
    assert gallery_of(text)["names"] == list(LABELS.names)
    assert gallery_of(text)["photos"][0]["id"] == "v</script>"


def test_every_sortable_header_is_a_button_and_tells_its_order(written):
    tables = re.findall(r'<table class="sortable".*?</thead>', written(), re.S)
    assert len(tables) == 3
    for table in tables:
        heads = re.findall(r"<th .*?</th>", table, re.S)
        assert all('aria-sort="none"' in head and '<button type="button">' in head for head in heads)


def test_each_photo_is_embedded_once_for_both_sections(written):
    text = written()
    assert text.count("data:image/jpeg;base64,") == 1
    assert [(shown["true"], shown["predicted"]) for shown in gallery_of(text)["photos"]] == [
        ([0, 1], [0]),
        ([], [1]),
    ]
    assert gallery_of(text)["photos"][1]["source"] is None


def test_a_label_can_be_chosen_exactly_where_a_photo_carries_it_or_was_given_it(written):
    assert re.findall(r'<option value="(\d)">[^<]*\((\d)\)', written()) == [("1", "2"), ("0", "1")]


def test_photos_stop_where_the_page_would_grow_too_large(written):
    taken = []

    def endless():
        while True:
            taken.append(photo())
            yield {"id": str(len(taken)), "image": b"x" * 300_000, "true": [0], "predicted": []}

    text = written(endless())
    assert len(text) < 4_000_000
    assert len(gallery_of(text)["photos"]) == len(taken) - 1 == 8


def test_without_photos_the_page_has_no_empty_sections(written):
    text = written(())
    assert 'id="photos"' not in text and 'href="#looked"' not in text


def test_models_alone_make_a_page_and_the_best_is_its_headline(tmp_path, write_result):
    write_result(tmp_path / "runs", "weak", 0.5)
    write_result(tmp_path / "runs", "strong", 0.6)
    page.write(tmp_path / "index.html", suite="demo", folder=tmp_path / "runs", labels=LABELS, facts=FACTS)
    text = (tmp_path / "index.html").read_text()
    assert "strong, one global reaches a micro-F1 of 0.600" in text
    assert Elements(text) and text.count("<figure>") == 2


def test_a_set_without_train_has_a_page(written):
    facts = FACTS | {
        "splits": {"validation": SPLIT},
        "counts": {"validation": [3, 2, 0]},
        "shifted": None,
        "unseen": [],
        "equal_between": [],
        "equal_within": [],
    }
    assert "None found" in written(facts=facts)


@pytest.mark.parametrize("history", ["epoch,loss\n1,0.5\n", "epoch,loss,dev_loss,dev_micro_f1\n1,0.5,high,0.3\n"])
def test_a_history_of_another_layout_is_refused_by_name(written, suite, history):
    (suite / "xception" / "history.csv").write_text(history)
    with pytest.raises(InputError, match=r"xception/history.csv: expected the columns epoch, loss"):
        written()


matrices = st.integers(1, 30).flatmap(
    lambda n: st.tuples(*[st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=n, max_size=n)] * 2)
)


@settings(deadline=None)
@given(matrices, st.integers(1, 4))
def test_every_label_has_its_photos_and_none_is_chosen_twice(matrix, per_label):
    targets, decided = np.array(matrix[0]), np.array(matrix[1])
    rows = page.choose(targets, decided, per_label=per_label)
    assert len(rows) == len(set(rows))
    assert (targets[rows].sum(axis=0) >= np.minimum(targets.sum(axis=0), per_label)).all()


@settings(deadline=None)
@given(matrices, st.integers(0, 6))
def test_fewer_photos_are_the_first_of_more(matrix, most):
    targets, decided = np.array(matrix[0]), np.array(matrix[1])
    assert list(page.choose(targets, decided, most=most)) == list(page.choose(targets, decided))[:most]


def test_a_label_shows_a_hit_first_and_a_miss_next():
    targets, decided = np.ones((6, 1)), np.array([[0], [0], [1], [1], [1], [0]])
    assert list(page.choose(targets, decided, per_label=3)) == [2, 0, 3]
