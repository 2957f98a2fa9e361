import numpy as np
import pytest

from mlob.errors import InputError
from mlob.evaluation import shift


def features(n, moved=0.0, seed=0, length=20):
    return np.random.default_rng(seed).normal(size=(n, length)) + moved * (np.arange(length) == 3)


def test_alike_is_about_half_and_far_apart_about_one():
    alike = shift.tell_apart(features(300), features(200, seed=1))
    assert alike.low < 0.5 < alike.high
    apart = shift.tell_apart(features(300), features(200, moved=8, seed=1))
    assert apart.value > 0.99


def test_the_further_apart_the_better_they_are_told_apart():
    areas = [shift.tell_apart(features(300), features(300, moved=moved, seed=1)).value for moved in (0, 1, 3)]
    assert areas == sorted(areas) and areas[0] < 0.6 < areas[1]


def test_the_order_of_the_two_does_not_matter_much_and_a_rerun_nothing():
    one, other = features(200), features(200, moved=1, seed=1)
    there, back = shift.tell_apart(one, other), shift.tell_apart(other, one)
    assert there.value == pytest.approx(back.value, abs=0.05)
    assert there == shift.tell_apart(one, other)


def test_the_interval_holds_the_area_and_narrows_with_more_photos():
    widths = []
    for n in (50, 200, 800):
        found = shift.tell_apart(features(n), features(n, moved=0.5, seed=1))
        assert 0 <= found.low <= found.value <= found.high <= 1
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)


def test_nine_in_ten_intervals_hold_a_half_where_both_are_drawn_alike():
    held = [shift.tell_apart(features(60, seed=seed), features(60, seed=99 - seed)) for seed in range(40)]
    assert sum(found.low <= 0.5 <= found.high for found in held) >= 34


def test_features_that_never_differ_tell_nothing():
    same = np.ones((30, 4))
    assert shift.tell_apart(same, same).value == pytest.approx(0.5, abs=0.05)


def test_too_few_photos_are_refused():
    with pytest.raises(InputError, match="needs 5 photos of each; found 4 and 9"):
        shift.tell_apart(features(4), features(9))
