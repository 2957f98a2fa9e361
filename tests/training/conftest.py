"""Rows that tests of training share."""

import numpy as np
import pytest

from mlob.training import batches


@pytest.fixture(scope="session")
def rows_of():
    """Make up train and dev: rows_of(count, prevalences, length) gives two `Rows` whose features tell their labels."""

    def make(count, prevalences, length, noise=1.0):
        generator = np.random.default_rng(0)
        labels = len(prevalences)
        targets = (generator.random((count, labels)) < prevalences).astype(np.uint8)
        features = targets @ generator.normal(size=(labels, length)) + noise * generator.normal(size=(count, length))
        ids = np.array([str(number) for number in range(count)], object)
        return batches.train_and_dev(batches.Rows(ids, features.astype(np.float16), targets))

    return make
