import re
import warnings
import xml.etree.ElementTree as tree

import numpy as np
import pytest

from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.diagnosis import Bin
from mlob.evaluation.scores import Score
from mlob.reports import figures
from mlob.reports.histories import History
from mlob.runs.curve import Point
from mlob.runs.search import JudgedTrial

pytestmark = pytest.mark.slow

SCORE = Score(0.6, 0.58, 0.62, 0.61)
HISTORY = History(step=[4, 8], epoch=[1, 2], loss=[0.9, 0.5], dev_loss=[1.0, 0.7], dev_micro_f1=[0.3, float("nan")])
GAIN = Interval(0, -0.2, 0.2)
POINTS = [Point(rows, 0.9, GAIN, GAIN) for rows in (10, 1000)]
TRIALS = [
    JudgedTrial(number, "", {"training.learning_rate": rate, "head.units": units}, dev, 1.0, figure, figure)
    for number, (rate, units, dev, figure) in enumerate(
        [(0.01, "[8]", 0.8, GAIN), (0.1, "[16]", 0.1, None), (0.02, "[8]", 0.82, GAIN)]
    )
]
DRAW = {
    "prevalence": lambda: figures.prevalence(
        ["a < b", "$5 to $10"], {"train": np.array([0.5, 0.1]), "validation": np.array([0.4, 0.0])}
    ),
    "f1_by_step": lambda: figures.f1_by_step({"xception": HISTORY, "lite": HISTORY}),
    "losses": lambda: figures.losses({"xception": HISTORY, "lite": HISTORY}),
    "reliability": lambda: figures.reliability([Bin(900, 0.02, 0.0), Bin(30, 0.95, 1.0)]),
    "f1_by_frequency": lambda: figures.f1_by_frequency([0, 3, 1000], [0.0, 0.5, 0.9]),
    "methods": lambda: figures.methods(["constant", "PSO, per-label thresholds"], [SCORE, SCORE], 1, "micro-F1"),
    "gains": lambda: figures.gains(
        ["a", "b", "c"], [GAIN, Interval(0.2, 0.1, 0.3), Interval(-0.2, -0.3, -0.1)], "macro-F1"
    ),
    "learning_curves": lambda: figures.learning_curves({"xception": POINTS, "lite": POINTS[:1]}),
    "search": lambda: figures.search(1, TRIALS),
    "search of one trial": lambda: figures.search(2, TRIALS[:1]),
    "convergence": lambda: figures.convergence([0.6], "micro-F1"),
}


def ids(svg):
    return [element.get("id") for element in tree.fromstring(svg).iter() if element.get("id")]


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_a_figure_is_one_svg_element_that_is_drawn_alike_every_time(draw):
    svg = draw()
    assert tree.fromstring(svg).tag.endswith("svg")
    assert svg == draw()


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_text_and_axes_take_the_colour_around_them_and_nothing_is_painted_black_or_white(draw):
    svg = draw()
    assert "currentColor" in svg and figures.INK not in svg
    assert not re.search(r"(fill|stroke): #(000000|ffffff)", svg)


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_every_reference_inside_a_figure_is_to_an_id_of_its_own(draw):
    svg = draw()
    referred = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    assert referred and referred <= set(ids(svg))


def test_no_id_stands_in_two_figures_or_twice_in_one():
    found = [name for draw in DRAW.values() for name in ids(draw())]
    assert len(found) == len(set(found))


def test_names_are_shown_as_they_are_written():
    shown = "".join(tree.fromstring(DRAW["prevalence"]()).itertext())
    assert "a < b" in shown and "$5 to $10" in shown


@pytest.mark.parametrize("name", ['url(#here) id="x" ="#y', figures.INK])
def test_a_name_that_looks_like_what_figures_are_made_of_stays_as_it_is(name):
    assert name in tree.fromstring(figures.prevalence([name], {"train": np.array([0.5])})).itertext()


def test_letters_that_the_measuring_font_lacks_make_no_noise():
    with warnings.catch_warnings(action="error"):
        assert "連衣裙" in figures.prevalence(["連衣裙"], {"train": np.array([0.5])})


def test_the_thirty_commonest_of_the_last_split_are_drawn():
    names = [f"label-{column:02}" for column in range(40)]
    rising = np.arange(40) / 40
    svg = figures.prevalence(names, {"train": rising[::-1], "validation": rising})
    assert re.findall(r"label-\d\d", re.sub(r'id="[^"]*"', "", svg))[:30] == names[:9:-1]


def test_the_headline_is_marked_in_words_and_shape():
    svg = DRAW["methods"]()
    assert "PSO, per-label thresholds (headline)" in svg and "constant (headline)" not in svg


@pytest.mark.parametrize("count", [1, 3, 4])
def test_every_model_has_a_panel_of_losses_and_there_is_no_empty_one(count):
    svg = figures.losses({f"model-{number}": HISTORY for number in range(count)})
    assert re.findall(r">(model-\d)<", svg) == [f"model-{number}" for number in range(count)]
    assert len(re.findall(r'id="losses-axes_\d+"', svg)) == count
