"""Members that tests of the ensemble share."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def members_of():
    """Make members up: members_of(strengths, …) gives float32 (members, n, labels), and targets uint8 (n, labels).

    A member sees the targets through noise, the better the greater its strength.
    """

    def make(strengths, photos, labels, seed=0, prevalence=0.2):
        generator = np.random.default_rng(seed)
        targets = (generator.random((photos, labels)) < prevalence).astype(np.uint8)
        noise = generator.normal(size=(len(strengths), photos, labels))
        logits = noise + np.multiply.outer(np.asarray(strengths, float), targets) - 1
        return (1 / (1 + np.exp(-logits))).astype(np.float32), targets

    return make
