import numpy as np
import pytest
import unknown
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlob.errors import InputError
from mlob.recipes import Experiment, Task
from mlob.training import sampling

TARGETS = arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 6)), elements=st.integers(0, 1)).filter(np.any)


def own(targets, groups=None, **changes):
    return sampling.own_columns(Experiment(("any",), **changes), targets, groups)


@pytest.fixture
def skewed():
    """A label on nearly all rows, one on a tenth, one on five, one on none; some rows have none."""
    generator = np.random.default_rng(0)
    targets = (generator.random((1000, 4)) < (0.9, 0.1, 0, 0)).astype(np.uint8)
    targets[[5, 6, 7, 500, 999], 2] = 1
    return targets


def test_two_specialists_that_share_a_cut_have_each_label_once_between_them(skewed):
    frequent, rare = own(skewed, least_share=0.1), own(skewed, most_share=0.1)
    assert sorted([*frequent, *rare]) == [0, 1, 2, 3] and len(frequent) and len(rare)
    assert own(skewed).tolist() == [0, 1, 2, 3]


def test_the_least_share_belongs_to_the_specialist_and_the_most_share_does_not():
    targets = np.uint8([[1, 1, 0], [1, 0, 0]])
    assert own(targets, least_share=0.5).tolist() == [0, 1]
    assert own(targets, most_share=0.5).tolist() == [2]


def test_a_model_with_tasks_learns_their_labels_alone():
    targets, groups = np.uint8([[1, 0, 1, 1], [1, 1, 0, 1]]), ("colour", "kind", "colour", "shop")
    tasks = Task("colour", 2.0), Task("shop", 0.5)
    assert own(targets, groups, tasks=tasks).tolist() == [0, 2, 3]
    assert own(targets, groups, tasks=tasks, most_share=0.9).tolist() == [2]
    with pytest.raises(InputError, match=r"tasks\[0\]\.group is 'colours'\. Did you mean colour"):
        own(targets, groups, tasks=(Task("colours"),))


def test_labels_weigh_as_their_tasks_do_and_alike_where_no_task_says_otherwise():
    experiment = Experiment(("any",), tasks=(Task("colour", 2.0), Task("shop", 0.5)))
    assert sampling.label_weights(experiment, ("shop", "colour", "shop")).tolist() == [0.5, 2, 0.5]
    for plain in (Experiment(("any",)), Experiment(("any",), tasks=(Task("colour"), Task("shop")))):
        assert sampling.label_weights(plain, ("shop", "colour")) is None


@settings(deadline=None)
@given(TARGETS, st.floats(0, 1))
def test_a_balanced_label_is_expected_as_often_as_the_law_says(targets, balance):
    chances = sampling.chances(targets, balance)
    assert chances.sum() == pytest.approx(1) and (chances >= 0).all()
    prevalence, occur = targets.mean(axis=0), targets.any(axis=0)
    least = balance / np.count_nonzero(occur) + (1 - balance) * prevalence
    assert (chances @ targets >= np.where(occur, least, 0) - 1e-9).all()


def test_where_each_row_has_one_label_balance_makes_their_counts_equal():
    targets = np.eye(3, dtype=np.uint8)[[0] * 90 + [1] * 9 + [2]]
    assert sampling.chances(targets, 1.0) @ targets == pytest.approx([1 / 3] * 3)
    halfway = [(1 / 3 + share) / 2 for share in (0.9, 0.09, 0.01)]
    assert sampling.chances(targets, 0.5) @ targets == pytest.approx(halfway)
    assert sampling.chances(targets, 0.0) == pytest.approx(np.full(100, 0.01))


def test_frequent_labels_ride_along_with_rare_ones(skewed):
    counts = len(skewed) * sampling.chances(skewed, 1.0) @ skewed
    assert (counts[:3] >= 1000 / 3 - 1e-6).all() and counts[0] > 600 and counts[3] == 0


@settings(deadline=None)
@given(arrays(np.float64, st.integers(1, 50), elements=st.floats(0, 1)).filter(np.any), st.integers(0, 2**32))
def test_a_row_comes_as_often_as_expected_and_never_a_whole_time_off(chances, seed):
    chances /= chances.sum()
    found = sampling.times(chances, np.random.default_rng(seed))
    assert found.sum() == len(chances)
    assert (abs(found - len(chances) * chances) < 1 + 1e-9).all()


def test_on_average_over_epochs_a_row_comes_just_as_often_as_its_chance_says(skewed):
    chances, generator = sampling.chances(skewed, 0.7), np.random.default_rng(0)
    mean = np.mean([sampling.times(chances, generator) for _ in range(400)], axis=0)
    assert mean == pytest.approx(1000 * chances, abs=0.15)
    assert mean @ skewed == pytest.approx(1000 * chances @ skewed, rel=0.01)


def test_equal_chances_take_each_row_once():
    assert (sampling.times(np.full(977, 1 / 977), np.random.default_rng(3)) == 1).all()


@pytest.fixture
def batches():
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 2, (3, 16, 5)).astype(np.uint8)
    return (targets @ generator.normal(size=(5, 7))).astype(np.float16), targets


def test_features_and_targets_are_mixed_in_the_same_shares(batches):
    features, targets = sampling.mixed(*batches, 0.8, np.random.default_rng(1))
    assert features.dtype == np.float16 and targets.dtype == np.float32
    directions = np.linalg.lstsq(batches[1].reshape(-1, 5), batches[0].reshape(-1, 7).astype(float), rcond=None)[0]
    assert features.astype(float) == pytest.approx(targets @ directions, abs=0.02)
    assert not np.array_equal(features, batches[0])
    assert ((targets > 0.01) & (targets < 0.99)).any()


def test_mixing_keeps_the_means_of_each_batch_on_average(batches):
    generator = np.random.default_rng(2)
    means = np.mean([sampling.mixed(*batches, 1.0, generator)[1].mean(axis=1) for _ in range(500)], axis=0)
    assert means == pytest.approx(batches[1].mean(axis=1), abs=0.02)


def test_a_small_alpha_hardly_mixes_and_maps_are_mixed_as_rows_are(batches):
    features, targets = sampling.mixed(*batches, 1e-9, np.random.default_rng(1))
    assert set(np.unique(targets.round(3))) == {0, 1}
    maps = np.repeat(batches[0][:, :, None, None], 2, axis=3)
    found, _ = sampling.mixed(maps, batches[1], 1e-9, np.random.default_rng(1))
    assert np.array_equal(found[:, :, 0, 1], features)


@pytest.mark.parametrize("place", [(), (2, 3)])
def test_each_row_is_seen_whole_in_one_of_its_views_and_each_view_as_often(place):
    shape = (20, 50, *place)
    views = [np.broadcast_to(np.arange(4, dtype=np.float16) + 10 * view, (*shape, 4)) for view in range(3)]
    found = sampling.one_view(np.concatenate(views, axis=-1), 3, np.random.default_rng(0))
    assert found.shape == (*shape, 4) and found.dtype == np.float16
    seen = found.reshape(1000, -1, 4)
    chosen = seen[:, :1, :1] // 10
    assert np.array_equal(seen, np.broadcast_to(np.arange(4) + 10 * chosen, seen.shape))
    assert np.bincount(chosen.ravel().astype(int)) / 1000 == pytest.approx([1 / 3] * 3, abs=0.06)


def test_the_same_generator_state_gives_the_same_epoch(batches, skewed):
    for draw in (
        lambda generator: sampling.times(sampling.chances(skewed, 0.5), generator),
        lambda generator: sampling.mixed(*batches, 0.4, generator)[0],
        lambda generator: sampling.one_view(batches[0], 7, generator),
    ):
        assert draw(np.random.default_rng(4)).tobytes() == draw(np.random.default_rng(4)).tobytes()


@settings(deadline=None)
@given(unknown.masked(), unknown.CODES, st.floats(0, 1))
def test_an_unknown_label_is_neither_drawn_nor_in_a_share(targets, code, balance):
    other = unknown.recoded(targets, code)
    absent = np.where(targets > 1, 0, targets)
    if absent.any():
        assert np.array_equal(sampling.chances(other, balance), sampling.chances(absent, balance))
    shares = [column[column <= 1].mean() if (column <= 1).any() else 0 for column in targets.T]
    assert own(other, least_share=0.5).tolist() == [at for at, share in enumerate(shares) if share >= 0.5]


@settings(deadline=None)
@given(unknown.masked(), unknown.CODES)
def test_a_mixed_target_is_unknown_where_it_is_in_either_row(targets, code):
    rows = len(targets)
    order = np.random.default_rng(4).permuted(np.arange(rows)[np.newaxis], axis=1)[0]
    features = np.arange(rows, dtype=np.float16)[np.newaxis, :, np.newaxis]
    drawn = [
        sampling.mixed(features, given[np.newaxis], 0.4, np.random.default_rng(4))
        for given in (targets, unknown.recoded(targets, code), np.where(targets > 1, 0, targets))
    ]
    assert unknown.same_bytes(drawn[0], drawn[1])
    lost = (targets > 1) | (targets[order] > 1)
    assert (drawn[0][1][0][lost] == 255).all()
    assert np.array_equal(drawn[0][1][0][~lost], drawn[2][1][0][~lost]) and drawn[2][1].max() <= 1
