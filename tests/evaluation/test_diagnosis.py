import numpy as np
import pytest
import unknown
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.evaluation import diagnosis
from mlob.evaluation.diagnosis import Confused, Confusion

SHAPES = st.tuples(st.integers(1, 20), st.integers(2, 6))
MATRICES = SHAPES.flatmap(
    lambda shape: st.tuples(
        arrays.arrays(np.uint8, shape, elements=st.integers(0, 1)),
        arrays.arrays(np.uint8, shape, elements=st.integers(0, 1)),
        arrays.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)),
    )
)


@settings(deadline=None)
@given(MATRICES)
def test_the_bins_hold_every_decision_once_and_their_means_are_those_of_all(matrices):
    targets, _, probabilities = matrices
    bins = diagnosis.reliability(targets, probabilities).bins
    count, predicted, observed = (
        np.array([getattr(each, name) for each in bins]) for name in ("count", "predicted", "observed")
    )
    assert count.sum() == targets.size and (count > 0).all()
    assert count @ predicted == pytest.approx(probabilities.sum(dtype=np.float64))
    assert count @ observed == pytest.approx(targets.sum())


def test_probabilities_that_come_true_as_often_as_they_say_have_no_error_and_others_have_their_distance():
    targets = np.repeat([[1, 1, 1, 0], [1, 0, 0, 0]], 5, axis=0)
    calibrated = np.repeat([[0.75] * 4, [0.25] * 4], 5, axis=0)
    assert diagnosis.reliability(targets, calibrated).error == pytest.approx(0)
    assert diagnosis.reliability(targets, calibrated + 0.1).error == pytest.approx(0.1)


@pytest.mark.parametrize(
    "predicted, observed, photos, is_off",
    [(0.95, 0.9, 1000, False), (0.95, 0.8, 1000, True), (0.55, 0.4, 20, False), (0.55, 0.3, 400, True)],
)
def test_probabilities_are_off_where_they_miss_by_more_than_a_tenth_and_than_chance(
    predicted, observed, photos, is_off
):
    targets = (np.arange(photos) < observed * photos).astype(np.uint8)[:, np.newaxis]
    off = diagnosis.reliability(targets, np.full((photos, 1), predicted)).off
    assert (off and off.predicted) == (pytest.approx(predicted) if is_off else None)


def test_a_group_is_exclusive_where_nine_in_ten_photos_with_its_labels_have_just_one():
    targets = np.zeros((20, 7), np.uint8)
    targets[:10, 0] = targets[10:, 1] = 1
    targets[:2, 1] = 1  # two of twenty with both
    targets[:10, 2] = targets[5:15, 3] = 1  # five of fifteen with both
    targets[:, 5] = 1
    groups = ("colour", "colour", "detail", "detail", "colour", "single", "never")
    assert {group: columns.tolist() for group, columns in diagnosis.exclusive(targets, groups).items()} == {
        "colour": [0, 1]
    }
    targets[2, 1] = 1
    assert diagnosis.exclusive(targets, groups) == {}


def test_a_confusion_is_counted_at_the_true_label_and_the_likeliest_decided_one():
    targets = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]])
    decided = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0]])
    probabilities = np.array([[0.6, 0.7, 0.9], [0.5, 0.2, 0.4], [0.1, 0.2, 0.3], [1, 1, 1], [1, 0, 0]])
    confusion = diagnosis.confusion(targets, decided, probabilities, np.array([0, 1, 2]))
    assert confusion.counts == [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


@settings(deadline=None)
@given(MATRICES)
def test_a_confusion_holds_every_photo_with_one_label_of_the_group_once(matrices):
    targets, decided, probabilities = matrices
    counts = np.array(diagnosis.confusion(targets, decided, probabilities, np.array([0, 1])).counts)
    alone = targets[:, :2].sum(axis=1) == 1
    assert counts.sum(axis=1).tolist() == targets[alone, :2].sum(axis=0).tolist()


def test_the_commonest_confusion_comes_first_and_neither_hits_nor_misses_are_among_them():
    confusions = {"colour": Confusion(columns=[3, 5], counts=[[6, 2, 4], [3, 0, 9]])}
    assert diagnosis.confused(confusions) == [
        Confused("colour", true=5, given=3, photos=3, share=0.25),
        Confused("colour", true=3, given=5, photos=2, share=pytest.approx(1 / 6)),
    ]


@settings(deadline=None)
@given(MATRICES)
def test_the_worst_mistakes_are_mistakes_worst_first_one_a_label_and_one_a_photo(matrices):
    targets, decided, probabilities = matrices
    for worst, true, sign in ((diagnosis.worst_false_positives, 0, -1), (diagnosis.worst_false_negatives, 1, 1)):
        cells = worst(targets, decided, probabilities)
        assert all(targets[cell] == true and decided[cell] == 1 - true for cell in cells)
        assert len(cells) == len({row for row, _ in cells}) == len({column for _, column in cells})
        assert np.all(np.diff([sign * probabilities[cell] for cell in cells]) >= 0)
        wrong = (targets == true) & (decided == 1 - true)
        assert bool(cells) == wrong.any()
        assert not cells or sign * probabilities[cells[0]] == (sign * probabilities)[wrong].min()


def planted(seed, errors=60):
    """Annotations of a sure model, some of them turned round: targets, probabilities, and where they were turned."""
    generator = np.random.default_rng(seed)
    truth = generator.random((400, 8)) < 0.2
    logits = np.where(truth, 4, -4) + generator.normal(size=truth.shape)
    turned = np.zeros(truth.size, bool)
    turned[generator.choice(truth.size, errors, replace=False)] = True
    turned = turned.reshape(truth.shape)
    return truth ^ turned, 1 / (1 + np.exp(-logits)), turned


@pytest.mark.parametrize("seed", range(3))
def test_planted_errors_are_doubted_and_come_first(seed):
    targets, probabilities, turned = planted(seed)
    cells = diagnosis.suspects(targets, probabilities)
    first = cells[: turned.sum()]
    assert np.mean([turned[cell] for cell in first]) > 0.9
    given = [probabilities[cell] if targets[cell] else 1 - probabilities[cell] for cell in cells]
    assert given == sorted(given) and given[-1] < 0.5


@settings(deadline=None)
@given(MATRICES)
def test_turning_an_annotation_and_its_probability_round_changes_no_doubt(matrices):
    targets, _, probabilities = matrices
    probabilities = np.round(probabilities * 16) / 16  # so that one less a probability is exact
    assert diagnosis.suspects(targets, probabilities) == diagnosis.suspects(1 - targets, 1 - probabilities)


def test_annotations_that_the_model_shares_are_beyond_doubt():
    targets = np.eye(4, dtype=np.uint8)
    assert diagnosis.suspects(targets, targets.astype(np.float32)) == []


def test_members_are_alike_where_they_err_alike():
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 2, (300, 20))
    first, other = generator.normal(size=(2, *targets.shape)).astype(np.float32)
    found = diagnosis.alike(np.stack([targets + first, targets + first, targets - first, targets + other]), targets)
    assert found[0, 1] == pytest.approx(1, abs=1e-4) and found[0, 2] == pytest.approx(-1, abs=1e-4)
    assert abs(found[0, 3]) < 0.05
    assert np.array_equal(found, found.T) and np.diag(found) == pytest.approx(1, abs=1e-4)
    assert diagnosis.alike(np.stack([targets + first]), targets).shape == (1, 1)


@settings(deadline=None)
@given(unknown.scored(members=(2,)), unknown.CODES)
def test_what_is_unknown_is_neither_a_mistake_nor_in_doubt_nor_counted(case, code):
    targets, *stacks = case
    found = []
    for truth, members in zip([targets, unknown.recoded(targets, code)], stacks, strict=True):
        decided, groups = (members[0] >= 0.5).astype(np.uint8), ["a"] * targets.shape[1]
        columns = diagnosis.exclusive(truth, groups)
        cells = [
            diagnosis.worst_false_positives(truth, decided, members[0]),
            diagnosis.worst_false_negatives(truth, decided, members[0]),
            diagnosis.suspects(truth, members[0]),
        ]
        assert all(truth[cell] <= 1 for kind in cells for cell in kind)
        reliability = diagnosis.reliability(truth, members[0])
        assert sum(each.count for each in reliability.bins) == np.count_nonzero(truth <= 1)
        confused = diagnosis.confusion(truth, decided, members[0], np.arange(truth.shape[1]))
        found.append((cells, reliability, confused, {name: own.tolist() for name, own in columns.items()}))
    assert found[0] == found[1]


def test_members_are_alike_by_the_known_targets_alone():
    generator = np.random.default_rng(0)
    targets, members = generator.integers(0, 2, (30, 4)).astype(np.uint8), generator.random((3, 30, 4), np.float32)
    targets[::3, 1:] = 255
    known = targets <= 1
    expected = diagnosis.alike(members[:, known][..., None], targets[known][:, None])
    assert diagnosis.alike(members, targets) == pytest.approx(expected, abs=1e-6)
