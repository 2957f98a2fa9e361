"""What a recipe may change about a head's training does what it says, from `fit` to predictions."""

import dataclasses

import numpy as np
import pytest

from mlob.errors import InputError
from mlob.models.losses import LOSSES
from mlob.recipes import Experiment, Head, Training
from mlob.training import batches, fit

pytestmark = pytest.mark.slow  # networks are compiled

SMALL = Experiment(("any",), Head(units=(16,), dropout=0.2), Training(epochs=8, batch=32, learning_rate=2e-2))
GROUPS = ("size", "size", "colour", "colour", "extra")


@pytest.fixture(scope="module")
def rows():
    """One size each, a colour for most, an extra for few; six features that tell them."""
    generator = np.random.default_rng(0)
    targets = np.zeros((400, 5), np.uint8)
    targets[np.arange(400), generator.integers(0, 2, 400)] = 1
    targets[np.arange(400), generator.choice([2, 2, 2, 3, 4], 400)] = 1
    targets[:, 4] = generator.random(400) < 0.1
    features = targets @ generator.normal(size=(5, 6)) + 0.3 * generator.normal(size=(400, 6))
    ids = np.array([str(number) for number in range(400)], object)
    return batches.train_and_dev(batches.Rows(ids, features.astype(np.float16), targets))


def fitted(rows, **changes):
    """Fit with some fields of the training, or of the experiment, changed."""
    names = {field.name for field in dataclasses.fields(Training)}
    training = dataclasses.replace(SMALL.training, **{name: changes[name] for name in names & set(changes)})
    others = {name: value for name, value in changes.items() if name not in names}
    experiment = dataclasses.replace(SMALL, training=training, **others)
    return fit.fit(experiment, *rows, name="head", groups=GROUPS)


def predicted(rows, **changes):
    return fit.predict(fitted(rows, **changes).model, rows[1].features)


@pytest.fixture(scope="module")
def plain(rows):
    """What the recipe without any idea predicts."""
    return predicted(rows)


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"loss": name, "positive_weight": 2.0}
            for name in LOSSES
            if name != "binary" and not LOSSES[name].of_softmaxes
        ),
        {"label_smoothing": 0.1},
        {"mixup": 0.3},
        {"balance": 1.0},
        {"head": Head(units=(16,), groups=True)},
        {"head": Head(units=(16,), branches=2)},
    ],
    ids=str,
)
def test_with_each_idea_the_labels_are_learned_otherwise_than_without(changes, rows, plain):
    found = fitted(rows, **changes)
    assert found.history[-1]["dev_micro_f1"] > 0.9
    assert not np.allclose(fit.predict(found.model, rows[1].features), plain, atol=1e-3)


def test_what_is_drawn_for_an_epoch_is_drawn_alike_in_a_rerun(rows):
    drawn = {"mixup": 0.3, "balance": 0.5, "epochs": 2}
    assert predicted(rows, **drawn).tobytes() == predicted(rows, **drawn).tobytes()


@pytest.mark.parametrize("loss", ["binary", "categorical"])
def test_a_head_of_groups_names_one_size_in_all(loss, rows):
    found = predicted(rows, head=Head(units=(16,), groups=True), loss=loss)
    assert found[:, :2].sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (found[:, 2:4].sum(axis=1) < 1).all()


def test_specialists_that_share_a_cut_predict_each_label_once_and_are_judged_on_their_own(rows):
    prevalence = rows[0].targets.mean(axis=0)
    cut = float(np.sort(prevalence)[2])
    frequent, rare = fitted(rows, least_share=cut), fitted(rows, most_share=cut)
    own = [fit.predict(one.model, rows[1].features) > 0 for one in (frequent, rare)]
    assert own[0].all(axis=0).tolist() == (prevalence >= cut).tolist()
    assert np.array_equal(own[1], ~own[0])
    assert rare.history[-1]["dev_loss"] < 0.5 and rare.history[-1]["dev_micro_f1"] > 0.8


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_of_each_branch(loss, rows):
    head = Head(units=(16,), dropout=0.0, groups=LOSSES[loss].of_softmaxes, branches=3)
    found = fitted(rows, loss=loss, head=head)
    assert found.history[-1]["dev_micro_f1"] > 0.9
    assert np.isfinite([epoch["loss"] for epoch in found.history]).all()


def test_a_cut_that_leaves_no_label_is_refused(rows):
    with pytest.raises(
        InputError, match=r"No label of the model is on 0\.99 to 1 of the training rows: change least_share"
    ):
        fitted(rows, least_share=0.99)


@pytest.fixture(scope="module")
def views(rows):
    """The rows, their features beside the same features mirrored."""
    return [
        dataclasses.replace(part, features=np.concatenate([part.features, part.features[:, ::-1]], axis=1))
        for part in rows
    ]


def test_predictions_of_views_are_the_mean_over_the_views(views):
    model = fitted(views, stores=("one", "other"), views=True).model
    both = views[1].features
    apart = [fit.predict(model, both[:, columns]) for columns in (slice(0, 6), slice(6, 12))]
    assert not np.allclose(*apart, atol=1e-3)
    assert fit.predict(model, both) == pytest.approx((apart[0] + apart[1]) / 2, abs=1e-6)


def test_a_head_of_views_learns_from_each_of_them(views):
    model = fitted(views, stores=("one", "other"), views=True, epochs=20).model
    for columns in (slice(0, 6), slice(6, 12)):
        found = fit.predict(model, views[1].features[:, columns])
        assert ((found > 0.5) == views[1].targets).mean() > 0.9


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_learning_rate_rises_while_it_warms_up_and_falls_after(optimizer, rows):
    rates = [row["learning_rate"] for row in fitted(rows, optimizer=optimizer, warmup_epochs=3).history]
    assert rates[:3] == pytest.approx([2e-2 / 3, 4e-2 / 3, 2e-2])
    assert rates[2:] == sorted(rates[2:], reverse=True) and rates[-1] == pytest.approx(0, abs=1e-9)


def test_a_plateau_warms_up_epoch_by_epoch(rows):
    rates = [row["learning_rate"] for row in fitted(rows, schedule="plateau", warmup_epochs=3, epochs=5).history]
    assert rates == pytest.approx([5e-3, 1e-2, 1.5e-2, 2e-2, 2e-2])


def test_streamed_rows_are_drawn_by_their_labels_too():
    times = np.repeat([0, 3], [2 * batches.RUN, batches.RUN])
    order = batches.shuffled(len(times), batches.RUN, np.random.default_rng(0), times)
    assert np.array_equal(np.bincount(order, minlength=len(times)), times)
    assert not np.array_equal(order, np.sort(order))
