"""What to run before all else: a few photos, which must be learned by heart."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mlob.data import splits
from mlob.errors import InputError
from mlob.labels import count_known, prevalence
from mlob.models.beginning import Beginning
from mlob.recipes import Augmentation, Experiment
from mlob.training import batches, fit, sampling, schedule

OVERFIT_EPOCHS, OVERFIT_BATCH = 200, 10
OVERFIT_EPOCHS_OF_NETWORK = 60  # its layers learn as well, and each of its steps takes a hundred times as long
OVERFIT_SHARE = 0.1  # of the loss without a look at the features: what is left must be below it


@dataclasses.dataclass(frozen=True)
class Overfit:
    """How a few photos were learned by heart.

    Attributes:
        photos: their number.
        constant: the loss of the same answer for each photo.
        loss, micro_f1: at the end, on the photos themselves.
        epochs: that it took.
    """

    photos: int
    constant: float
    loss: float
    micro_f1: float
    epochs: int


def overfit(
    experiment: Experiment,
    train: batches.Labelled,
    *,
    name: str,
    count: int = 50,
    groups: Sequence[str] | None = None,
    begin: Beginning | None = None,
) -> Overfit:
    """Train on a few rows until their loss is near zero: the first step of the [Stanford poster].

    The rows are judged as dev rows are, without dropout. What keeps a loss above zero, smoothed and mixed targets, is
    left out, and so is what stops before the last epoch.

    Args:
        experiment: the recipe.
        train: rows to take from.
        name: of the model, for the progress bar.
        count: rows taken, chosen by a hash of the id.
        groups: the group of each label (labels,).
        begin: what a model begins with; its head starts at random all the same, since another has seen the photos.

    Raises:
        InputError: at the end the loss is not below a tenth of what a constant answer has.
    """
    rows = train.take(splits.limit_rows(train.ids.tolist(), count)).resident()
    begin = begin and dataclasses.replace(begin, head=None, start=None)
    history = fit.fit(by_heart(experiment), rows, rows, name=name, groups=groups, begin=begin).history
    own = sampling.own_columns(experiment, rows.targets, groups)
    constant, last = constant_loss(rows.targets[:, own]), history[-1]
    if not last["dev_loss"] <= OVERFIT_SHARE * constant:
        last_phase = len(schedule.phases(experiment, len(rows.ids))) - 1
        rate = f"{schedule.field(experiment, last_phase)}.learning_rate"
        raise InputError(
            f"The loss on {len(rows.ids)} photos went from {constant:.4f} (the same answer for each) to "
            f"{last['dev_loss']:.4f} in {len(history)} epochs, not near zero: raise {rate} or widen "
            "head.units; if that does not help, features and labels do not belong together."
        )
    return Overfit(len(rows.ids), constant, last["dev_loss"], last["dev_micro_f1"], len(history))


def by_heart(experiment: Experiment) -> Experiment:
    """Give a recipe without what keeps a loss above zero; a network has one phase, its last, on photos as they are."""
    training, network = experiment.training, experiment.network
    training = dataclasses.replace(training, batch=min(training.batch, OVERFIT_BATCH), label_smoothing=0.0, mixup=0.0)
    if not network:
        training = dataclasses.replace(training, epochs=OVERFIT_EPOCHS, patience=0)
        return dataclasses.replace(experiment, training=training)
    phase = dataclasses.replace(
        network.phases[-1],
        epochs=OVERFIT_EPOCHS_OF_NETWORK,
        steps=0,
        patience=0,
        augmentation=Augmentation(),
        accumulate=1,
        average=0.0,
    )
    return dataclasses.replace(experiment, training=training, network=dataclasses.replace(network, phases=(phase,)))


def summary(name: str, learned: Overfit) -> str:
    """Tell in one line how a model learned its few photos."""
    return (
        f"{name} learned {learned.photos} photos by heart: loss {learned.constant:.4f} (the same answer for each) to "
        f"{learned.loss:.2g}, micro-F1 {learned.micro_f1:.3f}, in {learned.epochs} epochs"
    )


def constant_loss(targets: np.ndarray) -> float:
    """Give the mean binary cross entropy of answering each label's prevalence, over the known targets (n, labels)."""
    shares = np.clip(prevalence(targets), 1e-7, 1 - 1e-7)
    entropy = -(shares * np.log(shares) + (1 - shares) * np.log(1 - shares))
    return float(np.average(entropy, weights=count_known(targets, axis=0)))
