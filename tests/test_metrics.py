import numpy as np
import pytest
import unknown
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics as reference

from mlob import metrics

SHAPES = st.tuples(st.integers(1, 9), st.integers(2, 6))  # scikit-learn takes one column for another problem


@st.composite
def decided(draw):
    """Targets and decisions; empty photos and labels are common at this size."""
    shape = draw(SHAPES)
    return tuple(draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 1))) for _ in range(2))


@st.composite
def scored(draw):
    """Targets and probabilities on a coarse grid, so that many are equal."""
    shape = draw(SHAPES)
    targets = draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    return targets, draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 8))) / np.float32(8)


AVERAGES = {"micro_f1": "micro", "macro_f1": "macro", "image_f1": "samples"}


@pytest.mark.parametrize("name, average", AVERAGES.items())
@given(arrays=decided())
@settings(deadline=None)
def test_f1_is_scikit_learns(name, average, arrays):
    expected = reference.f1_score(*arrays, average=average, zero_division=0)
    assert getattr(metrics, name)(*arrays) == pytest.approx(expected, abs=1e-12)


@given(decided())
@settings(deadline=None)
def test_pooled_metrics_are_scikit_learns(arrays):
    options, pooled = {"average": "micro", "zero_division": 0}, metrics.pooled(*arrays)
    assert pooled["precision"] == pytest.approx(reference.precision_score(*arrays, **options))
    assert pooled["recall"] == pytest.approx(reference.recall_score(*arrays, **options))
    assert pooled["accuracy"] == pytest.approx(reference.accuracy_score(*map(np.ravel, arrays)))
    assert pooled["f2"] == pytest.approx(reference.fbeta_score(*arrays, beta=2, **options))
    assert pooled["micro_f1"] == metrics.micro_f1(*arrays)


@pytest.mark.filterwarnings("ignore:No positive class found")
@given(scored())
@settings(deadline=None)
def test_average_precision_is_scikit_learns_ties_and_empty_labels_included(arrays):
    expected = reference.average_precision_score(*arrays, average="macro")
    assert metrics.average_precision(*arrays) == pytest.approx(expected)


@given(scored())
@settings(deadline=None)
def test_no_threshold_beats_the_highest_micro_f1(arrays):
    targets, probabilities = arrays
    brute = max(metrics.micro_f1(targets, probabilities >= cut) for cut in np.unique(probabilities))
    assert metrics.highest_micro_f1(targets, probabilities) == brute


def test_nothing_true_and_nothing_predicted_is_0_everywhere_but_in_accuracy():
    nothing = np.zeros((3, 2), np.uint8)
    assert metrics.macro_f1(nothing, nothing) == metrics.image_f1(nothing, nothing) == 0.0
    pooled = metrics.pooled(nothing, nothing)
    assert pooled["micro_f1"] == pooled["precision"] == pooled["recall"] == 0.0
    assert pooled["accuracy"] == 1.0


@given(decided())
@settings(deadline=None)
def test_totals_are_the_sums_of_the_counts_by_label_and_by_photo(arrays):
    total = metrics.counts(*arrays)
    for axis in (0, 1):
        assert tuple(part.sum() for part in metrics.counts(*arrays, axis=axis)) == total


def test_each_label_alone_micro_f1_is_not_accuracy():
    targets, predicted = np.array([[1], [0], [0], [0]]), np.zeros((4, 1))
    assert metrics.micro_f1(targets, predicted) == 0.0  # scikit-learn's micro average of one column gives .75
    assert metrics.pooled(targets, predicted)["accuracy"] == 0.75


FIGURES = {
    "micro_f1": lambda targets, given: metrics.micro_f1(targets, given >= 0.5),
    "macro_f1": lambda targets, given: metrics.macro_f1(targets, given >= 0.5),
    "image_f1": lambda targets, given: metrics.image_f1(targets, given >= 0.5),
    "pooled": lambda targets, given: metrics.pooled(targets, given >= 0.5),
    "average_precision": metrics.average_precision,
    "highest_micro_f1": metrics.highest_micro_f1,
}


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
@given(case=unknown.scored(), code=unknown.CODES)
@settings(deadline=None)
def test_what_is_given_for_an_unknown_target_changes_no_figure_nor_does_its_code(figure, case, code):
    targets, given, others = case
    assert figure(targets, given) == figure(targets, others) == figure(unknown.recoded(targets, code), others)


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
@given(case=unknown.scored())
@settings(deadline=None)
def test_a_photo_and_a_label_of_which_nothing_is_known_change_no_figure(figure, case):
    targets, given, _ = case
    assert figure(*unknown.with_unknown_row_and_label(targets, given)) == pytest.approx(figure(targets, given))


@given(unknown.scored())
@settings(deadline=None)
def test_figures_are_those_of_the_known_targets_alone(case):
    targets, given, _ = case
    known = targets <= 1
    truth, decided = targets[known][:, None], given[known][:, None] >= 0.5
    assert metrics.pooled(targets, given >= 0.5) == metrics.pooled(truth, decided)
    columns = [column for column in range(targets.shape[1]) if known[:, column].any()]
    rows = [row for row in range(len(targets)) if known[row].any()]
    alone = [metrics.micro_f1(targets[known[:, at], at], given[known[:, at], at] >= 0.5) for at in columns]
    assert metrics.macro_f1(targets, given >= 0.5) == pytest.approx(np.mean(alone) if alone else 0)
    alone = [metrics.micro_f1(targets[at, known[at]], given[at, known[at]] >= 0.5) for at in rows]
    assert metrics.image_f1(targets, given >= 0.5) == pytest.approx(np.mean(alone) if alone else 0)
    if known.any():
        assert metrics.highest_micro_f1(targets, given) == metrics.highest_micro_f1(truth, given[known][:, None])
