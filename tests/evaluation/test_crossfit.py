import ast
import pathlib

import numpy as np
import pytest

from mlob.errors import InputError
from mlob.evaluation.crossfit import crossfit, folds

PACKAGE = pathlib.Path(crossfit.__code__.co_filename).parent.parent


def made(n=60, labels=5, seed=0):
    shares = [0.5, 0.3, 0.2, 0.1, 0.1][:labels]
    return (np.random.default_rng(seed).random((n, labels)) < shares).astype(np.uint8)


def numbered(targets, members=2):
    """Members whose every cell is the number of its photo, so that a fit can tell which rows it was given."""
    photos = np.arange(len(targets), dtype=np.float32)[np.newaxis, :, np.newaxis]
    return np.broadcast_to(photos, (members, *targets.shape))


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("n", [17, 200])
def test_folds_differ_in_size_by_one_photo_at_most(count, n):
    sizes = np.bincount(folds(made(n=n), count, seed=0))
    assert len(sizes) == count and sizes.max() - sizes.min() <= 1


def test_what_photos_show_has_no_say_in_the_folds():
    targets = made()
    expected = folds(targets, 5, seed=0)
    for other in (1 - targets, targets[::-1], np.full_like(targets, 255), range(60)):
        assert np.array_equal(folds(other, 5, seed=0), expected)


def test_a_label_is_as_often_in_a_fold_as_chance_has_it():
    """Over many draws its number in a fold varies as that of a draw without replacement: stratified ones would not."""
    shows = np.arange(60) < 20
    drawn = [shows[folds(shows, 3, seed=seed) == 0].sum() for seed in range(400)]
    assert np.var(drawn) == pytest.approx(20 * (1 / 3) * (2 / 3) * 40 / 59, rel=0.25)


def test_equal_seeds_give_equal_folds_and_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()
    first = folds(made(), 5, seed=1)
    assert np.array_equal(first, folds(made(), 5, seed=1))
    assert not np.array_equal(first, folds(made(), 5, seed=2))
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("n, count", [(1, 5), (0, 2), (10, 1)])
def test_folds_that_cannot_be_are_refused(n, count):
    with pytest.raises(InputError, match=f"found {count} folds and {n} photos"):
        folds(made(n=n), count, seed=0)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_fewer_photos_than_folds_make_a_fold_each(n):
    assert sorted(folds(made(n=n), 5, seed=0)) == list(range(n))


def test_equal_photos_share_a_fold_and_different_ones_are_spread_as_without_keys():
    targets = made(n=200)
    keys = [f"{number // 2}" if number < 100 else number for number in range(200)]
    fold = folds(targets, 5, seed=0, keys=keys)
    assert np.array_equal(fold[:100:2], fold[1:100:2]) and len(set(fold[100:])) == 5
    assert np.abs(np.bincount(fold) - 40).max() <= 8
    assert np.array_equal(folds(targets, 5, seed=0, keys=range(200)), folds(targets, 5, seed=0))
    with pytest.raises(InputError, match="5 folds and 1 photos"):
        folds(targets, 5, seed=0, keys=["one"] * 200)


def test_the_folds_own_photos_never_reach_its_fit():
    targets = made()
    fold = folds(targets, 5, seed=0)

    def fit(members, targets):
        fitted = set(members[0, :, 0])
        assert members.shape[1] == len(targets)

        def decide(members):
            held = set(members[0, :, 0])
            assert not held & fitted and len(held | fitted) == len(fold)
            return np.zeros(members.shape[1:], np.uint8)

        return {"watched": decide}

    crossfit(fit, numbered(targets), targets, fold)


def test_a_fit_that_learns_photos_by_heart_gains_nothing():
    targets = made()

    def by_heart(members, targets):
        known = dict(zip(members[0, :, 0], targets, strict=True))
        nothing = np.zeros(targets.shape[1], np.uint8)
        return {"by heart": lambda members: np.array([known.get(own, nothing) for own in members[0, :, 0]])}

    own = by_heart(numbered(targets), targets)["by heart"](numbered(targets))
    assert np.array_equal(own, targets)
    assert not crossfit(by_heart, numbered(targets), targets, folds(targets, 5, seed=0))["by heart"].any()


NUMBERS = {"odd": 1, "even": 0}


def test_each_methods_decisions_land_on_their_own_photos():
    targets = made()

    def fit(members, targets):
        return {
            name: lambda members, own=own: (members[0] % 2 == own).astype(np.uint8) for name, own in NUMBERS.items()
        }

    decided = crossfit(fit, numbered(targets), targets, folds(targets, 3, seed=0))
    odd = numbered(targets)[0] % 2
    assert list(decided) == ["odd", "even"] and decided["odd"].dtype == np.uint8
    assert np.array_equal(decided["odd"], odd) and np.array_equal(decided["even"], 1 - odd)


def test_a_fit_is_given_the_keys_of_just_its_photos():
    targets, seen = made(), []

    def fit(members, targets, keys):
        seen.append((members[0, :, 0].astype(int).tolist(), keys))
        return {"none": lambda others: np.zeros((others.shape[1], 5), np.uint8)}

    keys = [f"photo {row // 2}" for row in range(60)]
    crossfit(fit, numbered(targets), targets, folds(targets, 4, seed=0, keys=keys), keys)
    assert len(seen) == 4 and all(known == [keys[row] for row in rows] for rows, known in seen)


def test_no_figure_of_the_tree_forgets_which_photos_are_equal():
    calls = [
        call
        for room in ("evaluation", "runs")
        for path in (PACKAGE / room).glob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
    ]
    named = [(call, {word.arg for word in call.keywords}) for call in calls if isinstance(call, ast.Call)]
    drawing = [words for call, words in named if getattr(call.func, "id", "") == "folds" or "draws" in words]
    assert len(drawing) > 8 and all("keys" in words for words in drawing)
