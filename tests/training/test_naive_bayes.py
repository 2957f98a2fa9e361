import dataclasses

import numpy as np
import pytest
from sklearn.naive_bayes import MultinomialNB

from mlob.errors import InputError
from mlob.recipes import NAIVE_BAYES
from mlob.training import batches, naive_bayes

GROUPS = ("kind", "kind", "kind", "detail", "detail")


@pytest.fixture(scope="module")
def rows():
    """Counts of words whose chances depend on a kind, one of three, and on two details."""
    generator = np.random.default_rng(0)
    kind, details = generator.integers(0, 3, 300), generator.random((300, 2)) < (0.5, 0.3)
    targets = np.column_stack([np.eye(3)[kind], details]).astype(np.uint8)
    counts = generator.poisson(0.2 + targets @ generator.exponential(0.7, (5, 12)))
    ids = np.array([str(number) for number in range(300)], object)
    return batches.train_and_dev(batches.Rows(ids, counts.astype(np.float16), targets))


def alpha_of(trained):
    return float(trained.note.split()[2].rstrip(","))


def test_labels_that_exclude_each_other_are_classes_of_one_model_and_others_have_one_each(rows):
    train, dev = (each.resident() for each in rows)
    learned = naive_bayes.fit(NAIVE_BAYES, train, dev, GROUPS)
    model = MultinomialNB(alpha=alpha_of(learned))
    found, counts = learned.predict(dev.features), dev.features.astype(np.float64)
    kinds = model.fit(train.features, train.targets[:, :3].argmax(axis=1)).predict_proba(counts)
    np.testing.assert_allclose(found[:, :3], kinds, atol=1e-4)
    for column in (3, 4):
        alone = model.fit(train.features, train.targets[:, column]).predict_proba(counts)[:, 1]
        np.testing.assert_allclose(found[:, column], alone, atol=1e-4)
    assert (found[:, :3].argmax(axis=1) == dev.targets[:, :3].argmax(axis=1)).mean() > 0.7


def test_a_photo_with_no_label_of_a_group_is_of_the_class_none(rows):
    train, dev = rows
    targets = train.targets.copy()
    targets[targets[:, 2] == 1, :3] = 0
    learned = naive_bayes.fit(NAIVE_BAYES, dataclasses.replace(train, targets=targets), dev, GROUPS)
    model = MultinomialNB(alpha=alpha_of(learned))
    classes = np.where(targets[:, :3].any(axis=1), targets[:, :3].argmax(axis=1), 9)
    kinds = model.fit(train.features, classes).predict_proba(dev.features.astype(np.float64))
    found = learned.predict(dev.features)
    np.testing.assert_allclose(found[:, :2], kinds[:, :2], atol=1e-4)
    assert (found[:, 2] < 1e-6).all()  # no row has it


@pytest.mark.parametrize("code", [2, 255])
def test_what_is_unknown_counts_for_nothing(rows, code):
    train, dev = rows
    hidden = train.targets.copy()
    hidden[:80, :3], hidden[40:120, 3] = code, code
    found = naive_bayes.fit(NAIVE_BAYES, dataclasses.replace(train, targets=hidden), dev, GROUPS).predict(dev.features)
    known = train.take(np.arange(len(train.ids)) >= 80)
    alone = naive_bayes.fit(NAIVE_BAYES, known, dev, GROUPS)
    np.testing.assert_allclose(found[:, :3], alone.predict(dev.features)[:, :3], atol=1e-5)


@pytest.mark.parametrize("spoil", [lambda counts: counts - 1, lambda counts: counts[:, None, None]])
def test_features_that_are_no_counts_are_refused(rows, spoil):
    train, dev = rows
    with pytest.raises(InputError, match="learns from counts, 0 or more: expected a store of texts"):
        naive_bayes.fit(NAIVE_BAYES, dataclasses.replace(train, features=spoil(train.features)), dev, GROUPS)


def test_the_same_rows_in_another_order_give_the_same_model(rows):
    train, dev = rows
    order = np.random.default_rng(1).permutation(len(train.ids))
    mixed = dataclasses.replace(train, features=train.features[order], targets=train.targets[order])
    found = [naive_bayes.fit(NAIVE_BAYES, each, dev, GROUPS).predict(dev.features) for each in (train, mixed)]
    np.testing.assert_allclose(*found, atol=1e-6)


def test_labels_that_all_or_none_have_are_predicted_for_all_or_none(rows):
    train, dev = rows
    targets = train.targets.copy()
    targets[:, 3], targets[:, 4] = 1, 0
    found = naive_bayes.fit(NAIVE_BAYES, dataclasses.replace(train, targets=targets), dev, GROUPS).predict(dev.features)
    assert (found[:, 3] > 0.999).all() and (found[:, 4] < 1e-3).all()
