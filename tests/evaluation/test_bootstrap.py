import numpy as np
import pytest

from mlob.evaluation.bootstrap import count_draws, image_f1_draws, interval, macro_f1_draws, micro_f1_draws, resamples
from mlob.labels import UNKNOWN
from mlob.metrics import POOLED, image_f1, macro_f1, micro_f1, pooled


def made(n=200, labels=6, wrong=0.1, seed=0):
    """Targets, and decisions of which a share `wrong` is flipped."""
    generator = np.random.default_rng(seed)
    targets = (generator.random((n, labels)) < 0.3).astype(np.uint8)
    return targets, targets ^ (generator.random((n, labels)) < wrong)


def resampled(statistic, targets, *decisions, draws, seed):
    """The statistic of each draw, computed on the drawn photos themselves."""
    times = np.vstack([*resamples(len(targets), draws, seed)]).astype(int)
    photos = [np.repeat(np.arange(len(targets)), row) for row in times]
    return np.array([statistic(targets[rows], *(decided[rows] for decided in decisions)) for rows in photos])


def ends(draw):
    """Low and high end of the interval of a figure whose draws a function gives."""

    def low_and_high(*decisions, level=0.95, **options):
        found = interval(0, draw(*decisions, **options), level=level)
        return found.low, found.high

    return low_and_high


micro_f1_interval = ends(lambda *decisions, **options: micro_f1_draws(*decisions, **options)[0])
macro_f1_interval, image_f1_interval = ends(macro_f1_draws), ends(image_f1_draws)
micro_f1_difference = ends(lambda *decisions, **options: np.subtract(*micro_f1_draws(*decisions, **options)))
FIGURES = [(micro_f1, micro_f1_interval), (macro_f1, macro_f1_interval), (image_f1, image_f1_interval)]


@pytest.mark.parametrize("figure, interval", FIGURES)
def test_photos_that_stand_twice_tell_no_more_than_once(figure, interval):
    targets, predicted = made()
    order = np.random.default_rng(1).permutation(400)
    twice, keys = order // 2, [f"photo {row // 2}" for row in order]
    first = list(dict.fromkeys(twice.tolist()))
    once = interval(targets[first], predicted[first], seed=3)
    assert interval(targets[twice], predicted[twice], keys=keys, seed=3) == pytest.approx(once)
    low, high = interval(targets[twice], predicted[twice], seed=3)
    assert high - low < 0.8 * (once[1] - once[0])


def test_equal_photos_are_drawn_together_and_different_ones_as_without_keys():
    drawn = np.vstack([*resamples(5, 300, 0, ["a", "b", "a", "c", "b"])])
    assert np.array_equal(drawn[:, 0], drawn[:, 2]) and np.array_equal(drawn[:, 1], drawn[:, 4])
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert np.array_equal(np.vstack([*resamples(5, 70, 0, list("vwxyz"))]), np.vstack([*resamples(5, 70, 0)]))


def test_the_share_of_intervals_that_hold_the_truth_does_not_fall_where_each_photo_stands_twice():
    targets, predicted = made(n=5000)
    truth, generator, held = micro_f1(targets, predicted), np.random.default_rng(9), 0
    for _ in range(100):
        rows = np.repeat(generator.integers(5000, size=100), 2)
        low, high = micro_f1_interval(targets[rows], predicted[rows], keys=rows.tolist(), draws=200, level=0.9)
        held += low <= truth <= high
    assert 80 <= held <= 97


@pytest.mark.parametrize("n, draws", [(1, 3), (7, 64), (30, 150)])
def test_a_draw_has_as_many_photos_as_there_are_and_blocks_join(n, draws):
    drawn = np.vstack([*resamples(n, draws, seed=1)])
    assert drawn.shape == (draws, n) and (drawn.sum(axis=1) == n).all()
    assert np.array_equal(np.vstack([*resamples(n, 2 * draws, seed=1)])[:draws], drawn)
    assert n == 1 or len(np.unique(drawn, axis=0)) > 1


def test_each_photo_is_drawn_alike():
    drawn = np.vstack([*resamples(10, 4000, seed=0)])
    assert drawn.mean(axis=0) == pytest.approx(1, abs=0.06)
    assert drawn.var(axis=0) == pytest.approx(0.9, abs=0.1)


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("figure, interval", [(micro_f1, micro_f1_interval), (image_f1, image_f1_interval)])
def test_the_interval_is_that_of_resampling_photos_directly(figure, interval, level):
    targets, predicted = made(n=40)
    direct = resampled(figure, targets, predicted, draws=150, seed=5)
    expected = np.quantile(direct, [(1 - level) / 2, (1 + level) / 2])
    assert interval(targets, predicted, draws=150, seed=5, level=level) == pytest.approx(expected)


def test_several_decisions_are_drawn_together_as_each_alone():
    targets, decided = made()[0], [made(wrong=wrong)[1] for wrong in (0.1, 0.2, 0.3)]
    together = micro_f1_draws(targets, *decided, draws=100, seed=3)
    assert together.shape == (3, 100)
    assert np.array_equal(together, [micro_f1_draws(targets, own, draws=100, seed=3)[0] for own in decided])


@pytest.mark.parametrize("name", POOLED)
def test_every_pooled_metric_is_drawn_as_resampling_photos_directly(name):
    targets, predicted = made(n=40)
    direct = resampled(lambda *pair: pooled(*pair)[name], targets, predicted, draws=50, seed=5)
    assert POOLED[name](*count_draws(targets, predicted, draws=50, seed=5)[0]) == pytest.approx(direct)


def test_the_macro_interval_is_that_of_resampling_photos_directly_around_the_figure():
    targets, predicted = made(n=40)
    own = [micro_f1(targets[:, [label]], predicted[:, [label]]) for label in range(targets.shape[1])]

    def with_all_labels(targets, predicted):
        there = (targets.any(axis=0) | predicted.any(axis=0)).tolist()
        drawn = [micro_f1(targets[:, [label]], predicted[:, [label]]) for label in range(targets.shape[1])]
        return np.mean([new if here else old for new, old, here in zip(drawn, own, there, strict=True)])

    direct = resampled(with_all_labels, targets, predicted, draws=150, seed=5)
    expected = np.quantile(direct, [0.025, 0.975]) + macro_f1(targets, predicted) - direct.mean()
    assert macro_f1_interval(targets, predicted, draws=150, seed=5) == pytest.approx(expected)


def test_the_difference_is_that_of_both_on_the_same_draws():
    (targets, better), (_, worse) = made(n=40), made(n=40, wrong=0.3)

    def difference(targets, predicted, other):
        return micro_f1(targets, predicted) - micro_f1(targets, other)

    direct = resampled(difference, targets, better, worse, draws=150, seed=5)
    found = micro_f1_difference(targets, better, worse, draws=150, seed=5)
    assert found == pytest.approx(np.quantile(direct, [0.025, 0.975]))


@pytest.mark.parametrize("figure, interval", FIGURES)
def test_an_interval_holds_its_figure_and_narrows_with_more_photos(figure, interval):
    widths = []
    for n in (50, 200, 800):
        low, high = interval(*made(n=n))
        assert low < figure(*made(n=n)) < high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] / widths[2] == pytest.approx(4, rel=0.4)  # as the root of n


@pytest.mark.parametrize("targets", [np.eye(60, dtype=np.uint8), np.ones((9, 2), np.uint8)])
def test_a_perfect_answer_is_perfect_in_every_draw(targets):
    for _, draw in FIGURES:
        assert draw(targets, targets) == (1, 1)


def test_the_macro_interval_holds_its_figure_where_most_labels_are_on_one_photo_and_stays_within_0_and_1():
    targets = np.eye(60, dtype=np.uint8)
    for right in (1, 2, 30, 58, 59):
        predicted = targets * (np.arange(60) < right)
        low, high = macro_f1_interval(targets, predicted)
        assert 0 <= low <= high <= 1 and low - 1e-12 <= macro_f1(targets, predicted) <= high + 1e-12


@pytest.mark.parametrize("interval", [micro_f1_interval, macro_f1_interval, image_f1_interval])
def test_equal_seeds_give_equal_intervals(interval):
    assert interval(*made(), seed=1) == interval(*made(), seed=1) != interval(*made(), seed=2)


def test_equal_decisions_do_not_differ_and_opposite_order_turns_the_sign():
    (targets, better), (_, worse) = made(), made(wrong=0.3)
    assert micro_f1_difference(targets, better, better) == (0.0, 0.0)
    low, high = micro_f1_difference(targets, better, worse)
    assert 0 < low < high
    assert micro_f1_difference(targets, worse, better) == pytest.approx((-high, -low))


def test_nine_in_ten_intervals_hold_the_true_figure():
    targets, predicted = made(n=5000)
    truth, generator, held = micro_f1(targets, predicted), np.random.default_rng(9), 0
    for _ in range(100):
        rows = generator.integers(5000, size=100)
        low, high = micro_f1_interval(targets[rows], predicted[rows], draws=200, level=0.9)
        held += low <= truth <= high
    assert 80 <= held <= 97


def test_an_empty_set_of_labels_is_0_without_a_warning():
    nothing = np.zeros((5, 3), np.uint8)
    assert micro_f1_interval(nothing, nothing) == macro_f1_interval(nothing, nothing) == (0.0, 0.0)


UNCERTAIN = np.where(np.random.default_rng(7).random((40, 6)) < 0.3, UNKNOWN, made(n=40)[0]).astype(np.uint8)
UNCERTAIN[:3], UNCERTAIN[:, 5] = UNKNOWN, UNKNOWN


@pytest.mark.parametrize("figure", [micro_f1_draws, macro_f1_draws, image_f1_draws, count_draws])
def test_draws_go_over_the_known_targets_alone(figure):
    predicted, drawn = made(n=40)[1], figure(UNCERTAIN, made(n=40)[1], draws=70)
    for code in (2, UNKNOWN):
        others = np.where(UNCERTAIN > 1, 1 - predicted, predicted)
        again = figure(np.where(UNCERTAIN > 1, code, UNCERTAIN).astype(np.uint8), others, draws=70)
        assert np.array_equal(drawn, again)
    assert np.array_equal(figure(UNCERTAIN[:, :5], predicted[:, :5], draws=70), drawn)


def test_the_image_interval_is_that_of_the_photos_of_which_something_is_known():
    predicted = made(n=40)[1]
    direct = resampled(image_f1, UNCERTAIN, predicted, draws=150, seed=5)
    assert image_f1_draws(UNCERTAIN, predicted, draws=150, seed=5) == pytest.approx(direct)


@pytest.mark.parametrize("name", POOLED)
def test_pooled_metrics_are_drawn_over_the_known_targets_alone(name):
    predicted = made(n=40)[1]
    direct = resampled(lambda *pair: pooled(*pair)[name], UNCERTAIN, predicted, draws=50, seed=5)
    assert POOLED[name](*count_draws(UNCERTAIN, predicted, draws=50, seed=5)[0]) == pytest.approx(direct)


def test_where_nothing_is_known_every_draw_is_zero():
    targets, predicted = np.full((4, 2), UNKNOWN, np.uint8), np.ones((4, 2), np.uint8)
    for figure in (micro_f1_draws, macro_f1_draws, image_f1_draws):
        assert not figure(targets, predicted, draws=5).any()
