import dataclasses
import re

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mlob.metrics import highest_micro_f1
from mlob.models import heads
from mlob.recipes import LOGISTIC, LOGISTIC_OF_TEXT
from mlob.training import batches, fit, logistic


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(0)
    targets = (generator.random((300, 3)) < (0.5, 0.2, 0)).astype(np.uint8)
    features = targets @ generator.normal(size=(3, 10)) + generator.normal(3, 1, (300, 10)) * np.arange(1, 11)
    ids = np.array([str(number) for number in range(300)], object)
    return batches.train_and_dev(batches.Rows(ids, features.astype(np.float16), targets))


@pytest.fixture(scope="module")
def fitted(rows):
    return logistic.fit(LOGISTIC, *rows)


def chosen(trained):
    """The C that is told in a note."""
    return float(re.fullmatch(r"C = (\S+), chosen on dev", trained.note)[1])


def scikit_learns(train, features, label, regularisation):
    exact = train.features.astype(np.float64)
    mean, deviation = exact.mean(axis=0), exact.std(axis=0)
    model = LogisticRegression(C=regularisation, tol=1e-8, max_iter=1000)
    model.fit((exact - mean) / deviation, train.targets[:, label])
    return model.predict_proba((features - mean) / deviation)[:, 1]


def test_each_label_has_scikit_learns_regression_on_standardised_features(rows, fitted):
    train, dev = rows
    found = fitted.predict(dev.features)
    assert found.dtype == np.float32 and found.shape == dev.targets.shape
    for label in (0, 1):
        expected = scikit_learns(train, dev.features, label, chosen(fitted))
        assert found[:, label] == pytest.approx(expected, abs=2e-3)


def test_the_regularisation_is_the_best_of_those_tried_on_dev(rows, fitted):
    train, dev = rows

    def score(regularisation):
        columns = [scikit_learns(train, dev.features, label, regularisation) for label in (0, 1)]
        return highest_micro_f1(dev.targets, np.stack([*columns, np.zeros(len(dev.ids))], axis=1))

    assert score(chosen(fitted)) >= max(map(score, logistic.GRID)) - 0.01


def test_the_keras_model_predicts_the_same_of_maps_too(rows):
    train, dev = rows
    spread = lambda one: batches.Rows(one.ids, one.features[:, None, None, :] * np.float16([[[1], [0.5]]]), one.targets)  # noqa: E731
    for one, other in ((train, dev), (spread(train), spread(dev))):
        found = logistic.fit(LOGISTIC, one, other)
        assert fit.predict(found.model, other.features) == pytest.approx(found.predict(other.features), abs=1e-5)


def test_a_label_that_none_or_all_rows_have_is_predicted_for_none_or_all(rows):
    train, dev = rows
    marks = np.stack([np.zeros(len(train.ids)), train.targets[:, 0], np.ones(len(train.ids))], axis=1).astype(np.uint8)
    found = logistic.fit(LOGISTIC, batches.Rows(train.ids, train.features, marks), dev).predict(dev.features)
    assert (found[:, 0] < 1e-6).all() and (found[:, 2] > 1 - 1e-6).all()
    assert 0.1 < found[:, 1].mean() < 0.9


def test_parameters_are_counted_and_there_are_no_epochs(fitted):
    assert fitted.parameters == 3 * (10 + 1) and fitted.history == []


def test_a_rerun_gives_the_same_bytes(rows, fitted):
    features = rows[1].features
    assert logistic.fit(LOGISTIC, *rows).predict(features).tobytes() == fitted.predict(features).tobytes()


@pytest.mark.parametrize("wanted", logistic.GRID)
def test_another_dev_chooses_another_regularisation(wanted, rows, monkeypatch):
    train, dev = rows
    with monkeypatch.context() as alone:
        alone.setattr(logistic, "GRID", (wanted,))
        found = logistic.fit(LOGISTIC, train, dev).predict(train.features)
    told = batches.Rows(train.ids, train.features, (found > np.median(found)).astype(np.uint8))
    assert chosen(logistic.fit(LOGISTIC, train, told)) == wanted


def test_a_label_is_fitted_on_the_rows_that_know_it(rows):
    train, dev = rows
    hidden = train.targets.copy()
    hidden[::3, 0], hidden[:, 1] = 255, 255
    hidden[hidden[:, 2] == 0, 2] = 2
    standardised = heads.averages(train.features)
    known = hidden[:, 0] <= 1
    expected = logistic._regression(standardised[known], train.targets[known, 0], 0.01)
    found = logistic._regression(standardised, hidden[:, 0], 0.01)
    assert np.array_equal(found[0], expected[0]) and found[1] == expected[1]
    assert logistic._regression(standardised, hidden[:, 1], 0.01)[1] == -20
    fits = [
        logistic.fit(LOGISTIC, dataclasses.replace(train, targets=np.where(hidden > 1, code, hidden)), dev)
        for code in (2, 9)
    ]
    assert np.array_equal(*(fit.predict(dev.features) for fit in fits))


def test_features_that_are_not_standardised_are_fitted_as_they_are(rows):
    train, dev = rows
    learned = logistic.fit(LOGISTIC_OF_TEXT, train, dev)
    expected = LogisticRegression(C=chosen(learned)).fit(train.features.astype(np.float32), train.targets[:, 0])
    found = learned.predict(dev.features)[:, 0]
    np.testing.assert_allclose(found, expected.predict_proba(dev.features.astype(np.float32))[:, 1], atol=2e-3)
    assert not np.allclose(found, logistic.fit(LOGISTIC, train, dev).predict(dev.features)[:, 0], atol=2e-3)
    assert np.allclose(learned.model.predict(dev.features, verbose=0), learned.predict(dev.features), atol=1e-5)
