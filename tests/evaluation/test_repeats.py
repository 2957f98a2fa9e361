"""Trainings repeated: their mean, and intervals over photos and seeds."""

import numpy as np
import pytest

from mlob.evaluation import bootstrap, repeats
from mlob.recipes import Judging

JUDGING = Judging(draws=2000)


def right(share, spread, trainings=5, photos=400, seed=0):
    """Which photos trainings answer rightly: each its own share of them, about the same ones."""
    generator = np.random.default_rng(seed)
    ease = generator.random(photos)
    shares = share + spread * np.linspace(-1, 1, trainings)
    return ease + 0.1 * generator.normal(size=(trainings, photos)) < shares[:, np.newaxis]


def width(interval):
    return interval.high - interval.low


def test_a_single_training_has_the_interval_of_its_photos():
    (once,) = right(0.7, 0, trainings=1)
    found = repeats.mean(once[np.newaxis], JUDGING)
    drawn = np.concatenate([times @ once for times in bootstrap.resamples(400, 2000, 0)]) / 400
    assert found.value == once.mean() and found.deviation == 0
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, (0.025, 0.975)))


def test_trainings_that_differ_widen_the_interval_and_their_order_does_not_count():
    alike, apart = right(0.7, 0.001), right(0.7, 0.1)
    assert width(repeats.mean(apart, JUDGING)) > 1.3 * width(repeats.mean(alike, JUDGING))
    found, turned = repeats.mean(apart, JUDGING), repeats.mean(apart[::-1], JUDGING)
    assert found.value == pytest.approx(turned.value) and found.deviation == pytest.approx(turned.deviation)
    assert found.deviation == pytest.approx(apart.mean(axis=1).std(ddof=1))
    assert (found.low, found.high) == pytest.approx((turned.low, turned.high), abs=0.01)


def test_a_gain_is_told_on_the_same_photos_and_counts_the_luck_of_seeds():
    worse, better, noisy = right(0.7, 0.001), right(0.75, 0.001), right(0.75, 0.1)
    found = repeats.gain(better, worse, JUDGING)
    assert found.low < found.value < found.high and found.value == pytest.approx(better.mean() - worse.mean())
    assert found.low > 0 and width(found) < width(repeats.mean(better, JUDGING))
    assert width(repeats.gain(noisy, worse, JUDGING)) > width(found)
    own = repeats.gain(noisy, noisy, JUDGING)
    assert own.value == 0 and own.low < 0 < own.high


def test_photos_that_stand_twice_are_drawn_together():
    once = right(0.7, 0.05)
    keys = np.repeat(np.arange(400), 2).tolist()
    found, expected = repeats.mean(np.repeat(once, 2, axis=1), JUDGING, keys), repeats.mean(once, JUDGING)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
