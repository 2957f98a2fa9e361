import keras
import numpy as np
import pytest

from mlob.ensemble import graphs, linear
from mlob.ensemble.means import HarmonicMean, Mean, MeanByLabel, MeanOfLogits
from mlob.ensemble.methods import BLENDS

MEMBERS, PHOTOS, LABELS = 3, 40, 6
WEIGHTS = np.array([0.25, 0.0, 0.75])


def probabilities(seed=0):
    """Some of them 0 or 1, or as near as float32 gets."""
    generator = np.random.default_rng(seed)
    members = generator.beta(0.3, 0.6, (MEMBERS, PHOTOS, LABELS)).astype(np.float32)
    members[0, :3], members[1, 2:5], members[2, :2] = 0, 1, np.float32(1 - 2**-24)
    return members


def stacker():
    targets = np.eye(LABELS, dtype=np.uint8)[np.arange(PHOTOS) % 3]
    targets[:, 4] = np.arange(PHOTOS) % 2
    return linear.fit(probabilities(1), targets, seed=0, groups=("a", "a", "a", "b", "c", "c"))


BUILT = {
    Mean: lambda: Mean(WEIGHTS * 3),
    MeanByLabel: lambda: MeanByLabel(np.random.default_rng(2).dirichlet([1, 1, 1], LABELS).T),
    HarmonicMean: HarmonicMean,
    MeanOfLogits: MeanOfLogits,
    linear.Linear: stacker,
}


@pytest.mark.parametrize("kind", graphs.GRAPHS, ids=lambda kind: kind.__name__)
def test_a_blend_that_leaves_says_what_it_says_here(kind):
    blend, members = BUILT[kind](), probabilities()
    inputs = {number: keras.Input((LABELS,)) for number in graphs.counting(blend, MEMBERS)}
    model = keras.Model([*inputs.values()], graphs.GRAPHS[kind](blend, inputs))
    found = np.asarray(model([members[number] for number in inputs]))
    assert found == pytest.approx(blend.predict(members), abs=1e-5)


def test_members_without_weight_do_not_count():
    assert graphs.counting(Mean(WEIGHTS), MEMBERS) == [0, 2]
    assert graphs.counting(MeanByLabel(np.outer(WEIGHTS, np.ones(LABELS))), MEMBERS) == [0, 2]
    assert graphs.counting(HarmonicMean(), MEMBERS) == [0, 1, 2]


def test_only_blends_that_are_there_leave():
    assert set(graphs.GRAPHS) <= set(BLENDS.values())
