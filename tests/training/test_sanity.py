import dataclasses

import numpy as np
import pytest

from mlob.errors import InputError
from mlob.models.beginning import Beginning
from mlob.phases import Convolutions, Network, Phase
from mlob.recipes import Experiment, FeatureSet, Head, Training
from mlob.training import sanity

pytestmark = pytest.mark.slow  # networks are compiled

SMALL = Experiment(("any",), Head(units=(64,)), Training(epochs=20, batch=32, learning_rate=1e-2))


@pytest.fixture(scope="module")
def rows(rows_of):
    """Features that tell the labels, but not all of them at a glance."""
    return rows_of(900, (0.6, 0.4, 0.2, 0.1), 24, noise=1.5)


def test_a_few_photos_are_learned_by_heart_whatever_the_recipe_does_against_it(rows):
    against = dataclasses.replace(SMALL.training, label_smoothing=0.3, mixup=1.0, patience=1)
    found = sanity.overfit(dataclasses.replace(SMALL, training=against), rows[0], name="head", count=30)
    assert (found.photos, found.epochs, found.micro_f1) == (30, sanity.OVERFIT_EPOCHS, 1)
    assert found.loss < 0.1 * found.constant < sanity.constant_loss(rows[0].targets)
    assert sanity.summary("head", found).startswith("head learned 30 photos by heart: loss 0.")


def test_photos_that_are_alike_but_for_their_labels_cannot_be(rows):
    alike = dataclasses.replace(rows[0], features=np.ones_like(rows[0].features))
    with pytest.raises(
        InputError,
        match=r"The loss on 30 photos went from 0\.\d+ .* in 200 epochs, not near zero: raise training\.learning_rate ",
    ):
        sanity.overfit(SMALL, alike, name="head", count=30)


def test_of_a_network_the_rate_of_its_last_phase_is_named(rows):
    alike = dataclasses.replace(rows[0], features=np.zeros((len(rows[0].ids), 8, 8, 3), np.uint8))
    phases = Phase(unfreeze="nothing"), Phase(learning_rate=1e-5)
    network = Network(convolutions=Convolutions((2,), kernel=2, pool=2), phases=phases)
    whole = Experiment(("photos",), Head(units=()), Training(batch=8), network=network)
    with pytest.raises(InputError, match=r"raise network\.phases\[1\]\.learning_rate "):
        sanity.overfit(whole, alike, name="network", count=8, begin=Beginning(FeatureSet("pixels", pool="grid")))


def test_no_more_photos_are_taken_than_there_are(rows):
    few = rows[0].take(np.arange(len(rows[0].ids)) < 12)
    found = sanity.overfit(SMALL, few, name="head", count=50)
    assert (found.photos, found.micro_f1) == (12, 1)


def test_the_loss_of_a_constant_answer_is_the_entropy_of_the_prevalences():
    assert sanity.constant_loss(np.uint8([[1, 1], [0, 1]])) == pytest.approx(np.log(2) / 2, abs=1e-5)


def test_a_constant_answer_is_judged_on_what_is_known():
    targets = np.uint8([[1, 1], [0, 1], [255, 0], [255, 0]])
    assert sanity.constant_loss(targets) == pytest.approx(np.log(2))
    targets[:, 1] = [255, 1, 1, 1]
    assert sanity.constant_loss(targets) == pytest.approx(np.log(2) * 2 / 5, rel=1e-5)
