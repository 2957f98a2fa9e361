import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from mlob.data.dataset import DataSet, Split
from mlob.data.duplicates import Between, Within
from mlob.data.facts import Facts, Failures, Reason, SplitFacts, Spread
from mlob.data.prevalence import LabelFacts, Shifted, ShiftedLabel
from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.dev import Compared
from mlob.evaluation.judge import GroupScores, LabelScores, Pair
from mlob.evaluation.scores import Score
from mlob.evaluation.shift import Apart
from mlob.evaluation.tasks import TaskScores
from mlob.files import write_json
from mlob.labels import Labels
from mlob.predictions import Table
from mlob.recipes import Experiment, Judging, Training
from mlob.reports import drawn, figures, mistakes, page, papers
from mlob.reports.photos import Labelled, Photo
from mlob.runs import curve, search
from mlob.runs.dev import Comparison
from mlob.runs.results import Chosen, Decider, EnsembleResult, MethodResult, Parameters, Seconds
from mlob.runs.shift import Shift

LABELS = Labels((1, 2, 3), ("Dress", "<b>Tom & Co</b>", "Unseen"), ("category", "brand", "brand"))
SPLIT = SplitFacts(4, 4, 0, 2, Spread(1.5, 1, 2), Failures(1, [Reason("blank", 1, ["f1"])]))
TOM = LabelFacts(2, "<b>Tom & Co</b>", "brand", {"train": 0, "validation": 2})
FACTS = Facts(
    photos=8,
    labels=3,
    labels_used=2,
    splits={"train": SPLIT, "validation": dataclasses.replace(SPLIT, failed=None)},
    counts={"train": [4, 0, 0], "validation": [3, 2, 0]},
    commonest=[TOM],
    rarest=[TOM],
    unseen=[TOM],
    compared=True,
    equal_between=[Between("validation", "train", "content", 12, ["v1"])],
    equal_within=[Within("train", 1, [["t1", "t2"]])],
    shifted=Shifted(0.01, 3, 1, [ShiftedLabel(**vars(TOM), train=0.0, validation=0.5, ratio=None, z=4.0)]),
)


def jpeg(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "JPEG")
    return buffer.getvalue()


GALLERY = (
    Labelled(Photo("v</script>", jpeg("red"), [0, 1]), [0]),
    Labelled(Photo("v2", None, []), [1]),
    *(Labelled(Photo(f"w{number}", jpeg("blue"), [0]), [0]) for number in range(14)),
)
TARGETS = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 0], [0, 0, 1], [0, 1, 0]], np.uint8)
PROBABILITIES = np.array(
    [[0.9, 0.8, 0.1], [0.8, 0.9, 0.2], [0.01, 0.7, 0.6], [0.95, 0.1, 0.9], [0.2, 0.9, 0.1]], np.float32
)
IDS = ("a", "b", "c", "d", "e")
URLS = tuple((f"images/{name}.jpg",) for name in IDS)


def interval(value):
    return Interval(value, value - 0.02, value + 0.02)


def scored(value):
    """Scores of one method."""
    scores = {"micro_f1": Score(value, value - 0.02, value + 0.02, value + 0.01)}
    scores["macro_f1"] = Score(value - 0.1, value - 0.12, value - 0.08, value - 0.09)
    return scores


def method(name, value, rule, weights):
    """One method of ensemble.json."""
    cost = Parameters(2_820_068, 23_681_548), Seconds(41.2, 8.1)
    return MethodResult(*cost, name, rule, scored(value), weights)


def trial(number, value, changes=""):
    figures = (interval(value), interval(value - 0.6)) if value else (None, None)
    values = {"training.learning_rate": 0.01 * (number + 1), "head.units": "[8]"}
    return search.JudgedTrial(number, changes, values, value or 0.2, 3, *figures)


TRIALS = [trial(0, 0.6), trial(1, None, "head.units=[8],training.mixup=0.1"), trial(2, 0.63, "head.dropout=0.2")]
SCORES = {"micro_f1": interval(0.6), "macro_f1": interval(0.5), "precision": interval(0.6), "recall": interval(0.6)}
MIXED = {"xception": 0.75, "lite": 0.25}
TASK = TaskScores(
    "category",
    37,
    3,
    {"top_1": interval(0.7), "top_5": interval(0.95), "macro_f1": interval(0.6), "weighted_f1": interval(0.65)},
    ceiling=0.97,
    untrained=[1],
    failed=[0],
)
ENSEMBLE = EnsembleResult(
    suite="demo",
    members=list(MIXED),
    settings="",
    chosen=Chosen("PSO", "per-label thresholds", Decider("mean", "one threshold"), Interval(0.03, 0.01, 0.05)),
    headline=scored(0.64),
    optimism={},
    pairs=[
        Pair("ensemble", "best single, one threshold", Interval(0.03, 0.01, 0.05)),
        Pair("ensemble", "mean, one threshold", Interval(0.02, -0.01, 0.04)),
        Pair("ensemble", "PSO, per-label thresholds", Interval(-0.01, -0.03, 0.01)),
        Pair("mean, one threshold", "PSO, one threshold", Interval(-0.02, -0.04, 0.001)),
    ],
    groups=[GroupScores(group, 1, 2, SCORES, interval(0.01)) for group in ("category", "brand")],
    tasks=[TASK],
    labels=[
        LabelScores(1, "Dress", "category", 130, 35, 0.9, 0.8, 0.6, 0.7, 0.4),
        LabelScores(2, "<b>Tom & Co</b>", "brand", 0, 2, 0.9, 0.0, 0.0, 0.0, 0.25),
    ],
    methods=[
        method("PSO", 0.64, "one threshold", MIXED),
        method("PSO", 0.65, "per-label thresholds", MIXED),
        method("constant", 0.35, "0.5", {}),
        method("best single", 0.61, "one threshold", {"xception": 1.0}),
        method("mean", 0.62, "one threshold", dict.fromkeys(MIXED, 0.5)),
    ],
    test=None,
    judging=Judging(),
    folds=5,
    swarm=[0.6, 0.62, 0.63],
    shift=Shift(
        [
            {"id": 1, "name": "Dress", "group": "category", "train": 1.0, "validation": 0.75, "test": 0.5},
            {"id": 2, "name": "<b>Tom & Co</b>", "group": "brand", "train": 0.0, "validation": 0.5, "test": 0.5},
        ],
        ["test"],
        None,
        [
            Apart(("train", "validation"), (4, 4), Interval(0.9, 0.8, 1.0)),
            Apart(("validation", "test"), (4, 2), Interval(0.5, 0.3, 0.7)),
        ],
        [],
    ),
    identity={},
    decision="Mean",
    processor="a processor",
)
COMPARED = Comparison(
    1340,
    "xception",
    [
        Compared(name, interval(0.6 + gain), interval(gain))
        for name, gain in (("wide", 0.03), ("xception", 0), ("lite", -0.04))
    ],
)


@pytest.fixture
def suite(tmp_path, write_result):
    """runs/<suite> with two models, their histories and an ensemble.

    The fixed decision is "mean, one threshold"; "PSO, per-label thresholds", at another rule, is clearly better.

    One of the models has a learning curve, both have a search.
    """
    folder = tmp_path / "demo"
    write_result(folder / "xception", 0.61, tasks=[TASK])
    write_result(folder / "lite", 0.58, weights="random", note="below logistic by 0.012")
    for name in ("xception", "lite"):
        lines = ["epoch,loss,dev_loss,dev_micro_f1,learning_rate", "1,0.9,1.0,0.3,0.01", "2,0.5,0.7,0.5,0.01"]
        (folder / name / "history.csv").write_text("\n".join(lines) + "\n")
        recipe = dataclasses.asdict(Experiment((name,), training=Training(batch=32)))
        write_json(folder / name / "recipe.json", {"recipe": recipe})
        searched = search.Search(TRIALS, TRIALS[2], interval(0.01), 1340)
        write_json(folder / name / "search" / "search.json", dataclasses.asdict(searched))
    points = [curve.Point(rows, 0.9, interval(0.5), interval(0.1)) for rows in (20, 100)]
    write_json(folder / "lite" / "curve" / "curve.json", dataclasses.asdict(curve.Curve(points, 20)))
    write_json(folder / "ensemble" / "ensemble.json", dataclasses.asdict(ENSEMBLE))
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
    """What `mistakes.diagnose` says of the five photos."""
    members = {name: Table(IDS, PROBABILITIES**power) for name, power in (("xception", 1), ("lite", 2))}
    take = lambda row: Photo(IDS[row], jpeg("green"), TARGETS[row].nonzero()[0].tolist())  # noqa: E731
    return mistakes.diagnose(dataset, predicted, members, take, np.arange(5))


class DrawnOnce:
    """Stands for `figures`: what was drawn of equal values is not drawn again, which takes most of a page's time."""

    def __init__(self):
        self.drawn = {}

    def __getattr__(self, name):
        draw = getattr(figures, name)

        def draw_once(*values):
            key = name, repr(values)
            self.drawn[key] = self.drawn.get(key) or draw(*values)
            return self.drawn[key]

        return draw_once


@pytest.fixture(scope="session")
def drawn_once():
    return DrawnOnce()


@pytest.fixture
def written(suite, tmp_path, diagnosis, drawn_once, monkeypatch):
    """Write the page and give its text; labels and findings may be other ones."""
    path = tmp_path / "report" / "index.html"
    monkeypatch.setattr(drawn, "figures", drawn_once)

    def write(labels=LABELS, **changes):
        findings = page.Findings(FACTS, diagnosis, COMPARED, GALLERY)
        page.write(path, suite, labels, dataclasses.replace(findings, **changes))
        return path.read_text(encoding="utf-8")

    write.path = path
    return write
