import io
import json

import numpy as np
import pytest
from PIL import Image

from mlob.data.dataset import DataSet, Split
from mlob.labels import Labels
from mlob.predictions import Table
from mlob.reports import figures, page, papers, report

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


def jpeg(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "JPEG")
    return buffer.getvalue()


GALLERY = (
    {"id": "v</script>", "image": jpeg("red"), "true": [0, 1], "predicted": [0]},
    {"id": "v2", "image": None, "true": [], "predicted": [1]},
    *({"id": f"w{number}", "image": jpeg("blue"), "true": [0], "predicted": [0]} for number in range(14)),
)
TARGETS = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 0], [0, 0, 1], [0, 1, 0]], np.uint8)
PROBABILITIES = np.array(
    [[0.9, 0.8, 0.1], [0.8, 0.9, 0.2], [0.01, 0.7, 0.6], [0.95, 0.1, 0.9], [0.2, 0.9, 0.1]], np.float32
)
IDS = ("a", "b", "c", "d", "e")
URLS = tuple((f"images/{name}.jpg",) for name in IDS)


def score(value):
    return {"cross_fitted": value, "low": value - 0.02, "high": value + 0.02, "in_sample": value + 0.01}


def interval(value):
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def result(name, value, **changes):
    """One result.json, or with weights={member: weight} one method of ensemble.json."""
    made = {
        "method": name,
        "members": [name],
        "micro_f1": score(value),
        "macro_f1": score(value - 0.1),
        "thresholds": "one global",
        "parameters": {"own": 2_820_068, "total": 23_681_548},
        "seconds": {"features": 41.2, "training": 8.1},
        "processor": "a processor",
        "weights": "imagenet",
        "rows": {"train": 100},
        "note": "",
    }
    return made | changes


def method(name, value, rule, weights):
    return result(name, value, thresholds=rule, weights=weights, members=list(weights))


@pytest.fixture
def write_result():
    """Write one model's result.json: write_result(folder, method, micro-F1, field=value, …)."""

    def write(folder, name, value, **changes):
        (folder / name).mkdir(parents=True)
        (folder / name / "result.json").write_text(json.dumps(result(name, value, **changes)))
        (folder / name / "recipe.json").write_text(json.dumps({"recipe": {"training": {"batch": 32}}}))

    return write


def trial(number, value, changes="", **gain):
    found = {"micro_f1": interval(value), "gain": interval(value - 0.6)} if value else {"micro_f1": None, "gain": None}
    values = {"training.learning_rate": 0.01 * (number + 1), "head.units": "[8]"}
    return {"number": number, "changes": changes, "values": values, "dev_micro_f1": value or 0.2, "seconds": 3, **found}


TRIALS = [trial(0, 0.6), trial(1, None, "head.units=[8],training.mixup=0.1"), trial(2, 0.63, "head.dropout=0.2")]
COMPARED = {
    "photos": 1340,
    "against": "xception",
    "models": [
        {"model": name, "micro_f1": interval(0.6 + gain), "gain": interval(gain)}
        for name, gain in (("wide", 0.03), ("xception", 0), ("lite", -0.04))
    ],
}


@pytest.fixture
def suite(tmp_path, write_result):
    """runs/<suite> with two models, their histories and an ensemble of which "PSO, per label" is chosen.

    One of the models has a learning curve, both have a search.
    """
    folder = tmp_path / "demo"
    write_result(folder, "xception", 0.61)
    write_result(folder, "lite", 0.58, weights="random", note="below logistic by 0.012")
    for name in ("xception", "lite"):
        lines = ["epoch,loss,dev_loss,dev_micro_f1,learning_rate", "1,0.9,1.0,0.3,0.01", "2,0.5,0.7,0.5,0.01"]
        (folder / name / "history.csv").write_text("\n".join(lines) + "\n")
        search = {"photos": 1340, "trials": TRIALS, "best": TRIALS[2], "elsewhere": interval(0.01)}
        (folder / name / "search").mkdir()
        (folder / name / "search" / "search.json").write_text(json.dumps(search))
    points = [{"rows": rows, "seen": 0.9, "micro_f1": interval(0.5), "gain": interval(0.1)} for rows in (20, 100)]
    (folder / "lite" / "curve").mkdir()
    (folder / "lite" / "curve" / "curve.json").write_text(json.dumps({"points": points}))
    mixed = {"xception": 0.75, "lite": 0.25}
    ensemble = {
        "suite": "demo",
        "members": list(mixed),
        "folds": 5,
        "test_photos": 2,
        "swarm": {"history": [0.6, 0.62, 0.63]},
        "chosen": {"method": "PSO, per label", "why": "highest cross-fitted micro-F1 of all"},
        "methods": [
            method("PSO", 0.64, "one global", mixed),
            method("PSO", 0.65, "per label", mixed),
            method("constant", 0.35, "0.5", {}),
            method("best single", 0.61, "one global", {"xception": 1.0}),
            method("mean", 0.62, "one global", dict.fromkeys(mixed, 0.5)),
        ],
        "paired": [
            {"method": "PSO, per label", "against": "mean, one global", "gain": 0.03, "low": 0.01, "high": 0.05},
            {"method": "mean, one global", "against": "PSO, one global", "gain": -0.02, "low": -0.04, "high": 0.001},
        ],
        "groups": [
            {
                "group": group,
                "labels": 1,
                "validation": 2,
                "micro_f1": interval(0.6),
                "macro_f1": interval(0.5),
                "precision": 0.6,
                "recall": 0.6,
                "gain": interval(0.01),
            }
            for group in ("category", "brand")
        ],
        "shift": {
            "shares": [
                {"id": 1, "name": "Dress", "group": "category", "train": 1.0, "validation": 0.75, "test": 0.5},
                {"id": 2, "name": "<b>Tom & Co</b>", "group": "brand", "train": 0.0, "validation": 0.5, "test": 0.5},
            ],
            "decided": ["test"],
            "labels": None,
            "features": [
                {"splits": ["train", "validation"], "photos": [4, 4], "auc": 0.9, "low": 0.8, "high": 1.0},
                {"splits": ["validation", "test"], "photos": [4, 2], "auc": 0.5, "low": 0.3, "high": 0.7},
            ],
            "equal": [],
        },
        "decision": {"thresholds": [0.4, 0.25]},
        "labels": [
            {
                "id": 1,
                "name": "Dress",
                "group": "category",
                "train": 130,
                "validation": 35,
                "f1": 0.7,
                "precision": 0.8,
                "recall": 0.6,
            },
            {
                "id": 2,
                "name": "<b>Tom & Co</b>",
                "group": "brand",
                "train": 0,
                "validation": 2,
                "f1": 0.0,
                "precision": 0.0,
                "recall": 0.0,
            },
        ],
    }
    (folder / "ensemble").mkdir()
    (folder / "ensemble" / "ensemble.json").write_text(json.dumps(ensemble))
    return folder


@pytest.fixture
def fashion():
    """Labels that are numbered as those of the papers are."""
    others = papers.LABELS[len(LABELS) :]
    return Labels(papers.LABELS, (*LABELS.names, *map(str, others)), (*LABELS.groups, *("brand" for _ in others)))


@pytest.fixture
def facts():
    return FACTS


@pytest.fixture
def dataset(tmp_path):
    """Five validation photos; the second to the fourth are annotated unlike what the members make of them."""
    train = Split("train", ("t",), ((),), np.ones((1, 3), np.uint8))
    return DataSet("tiny", tmp_path, LABELS, {"train": train, "validation": Split("validation", IDS, URLS, TARGETS)})


@pytest.fixture
def predicted():
    """An ensemble's table of the five photos."""
    return Table(IDS, PROBABILITIES, (PROBABILITIES >= 0.5).astype(np.uint8))


@pytest.fixture
def diagnosis(dataset, predicted):
    """What `report.diagnose` says of the five photos."""
    members = {name: Table(IDS, PROBABILITIES**power) for name, power in (("xception", 1), ("lite", 2))}
    show = lambda row: {"id": IDS[row], "image": jpeg("green"), "true": TARGETS[row].nonzero()[0].tolist()}  # noqa: E731
    return report.diagnose(dataset, predicted, members, show, np.arange(5))


class DrawnOnce:
    """Stands for `figures`: what was drawn of equal values is not drawn again, which takes most of a page's time."""

    def __init__(self):
        self.kept = {}

    def __getattr__(self, name):
        draw = getattr(figures, name)

        def drawn(*values):
            key = name, repr(values)
            self.kept[key] = self.kept.get(key) or draw(*values)
            return self.kept[key]

        return drawn


@pytest.fixture(scope="session")
def drawn_once():
    return DrawnOnce()


@pytest.fixture
def written(suite, tmp_path, diagnosis, drawn_once, monkeypatch):
    """Write the page and give its text; arguments of `page.write` may be other ones."""
    path = tmp_path / "report" / "index.html"
    monkeypatch.setattr(page, "figures", drawn_once)

    def write(**changes):
        arguments = {"facts": FACTS, "gallery": GALLERY, "diagnosis": diagnosis, "compared": COMPARED, "labels": LABELS}
        page.write(path, suite="demo", folder=suite, **arguments | changes)
        return path.read_text(encoding="utf-8")

    write.path = path
    return write
