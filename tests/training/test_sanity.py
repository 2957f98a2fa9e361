import dataclasses

import numpy as np
import pytest

from mlob.errors import InputError
from mlob.recipes import Experiment, Head, Training
from mlob.training import batches, sanity

SMALL = Experiment(("any",), Head(units=(64,)), Training(epochs=20, batch=32, learning_rate=1e-2))


@pytest.fixture(scope="module")
def rows():
    """Features that tell the labels, but not all of them at a glance."""
    generator = np.random.default_rng(0)
    targets = (generator.random((900, 4)) < (0.6, 0.4, 0.2, 0.1)).astype(np.uint8)
    features = targets @ generator.normal(size=(4, 24)) + 1.5 * generator.normal(size=(900, 24))
    ids = np.array([str(number) for number in range(900)], object)
    return batches.train_and_dev(batches.Rows(ids, features.astype(np.float16), targets))


def test_a_few_photos_are_learned_by_heart_whatever_the_recipe_does_against_it(rows):
    against = dataclasses.replace(SMALL.training, label_smoothing=0.3, mixup=1.0, patience=1)
    history = sanity.overfit(dataclasses.replace(SMALL, training=against), rows[0], name="head", count=30)
    assert len(history) == sanity.OVERFIT_EPOCHS
    assert history[-1]["dev_loss"] < 0.1 * sanity.constant_loss(rows[0].targets)
    assert history[-1]["dev_micro_f1"] == 1


def test_photos_that_are_alike_but_for_their_labels_cannot_be(rows):
    alike = dataclasses.replace(rows[0], features=np.ones_like(rows[0].features))
    with pytest.raises(
        InputError, match=r"The loss on 30 photos went from 0\.\d+ .* in 200 epochs, not near zero: raise"
    ):
        sanity.overfit(SMALL, alike, name="head", count=30)


def test_no_more_photos_are_taken_than_there_are(rows):
    few = rows[0].take(np.arange(len(rows[0].ids)) < 12)
    assert sanity.overfit(SMALL, few, name="head", count=50)[-1]["dev_micro_f1"] == 1


def test_the_loss_of_a_constant_answer_is_the_entropy_of_the_shares():
    assert sanity.constant_loss(np.uint8([[1, 1], [0, 1]])) == pytest.approx(np.log(2) / 2, abs=1e-5)


def test_the_curve_has_a_point_a_share_and_rises_where_photos_help(rows):
    found = sanity.learning_curve(SMALL, *rows, name="head", shares=(0.03, 0.3, 1.0))
    assert [point["rows"] for point in found] == [22, 216, 720]
    assert [set(point) for point in found] == [{"rows", "micro_f1", "dev_loss", "loss"}] * 3
    assert found[0]["micro_f1"] + 0.02 < found[2]["micro_f1"]
    assert found[0]["dev_loss"] > found[2]["dev_loss"]


def test_the_parts_of_a_curve_lie_within_each_other_and_dev_stays_the_same(rows, monkeypatch):
    seen = []

    def fit(experiment, train, dev, **others):
        seen.append((set(train.ids), tuple(dev.ids)))
        return type("Fitted", (), {"history": [{"dev_micro_f1": 0, "dev_loss": 0, "loss": 0}]})

    monkeypatch.setattr(sanity.fit, "fit", fit)
    sanity.learning_curve(SMALL, *rows, name="head")
    parts, devs = zip(*seen, strict=True)
    assert [len(part) for part in parts] == [14, 54, 72, 720]
    assert parts[0] < parts[1] < parts[2] < parts[3]
    assert set(devs) == {tuple(rows[1].ids)}
