"""What to run before all else: a few photos, which must be learned by heart; and more and more of them."""

import dataclasses

import numpy as np

from mlob.data import splits
from mlob.errors import InputError
from mlob.training import fit, sampling

OVERFIT_EPOCHS, OVERFIT_BATCH = 200, 10
OVERFIT_SHARE = 0.1  # of the loss without a look at the features: what is left must be below it


def overfit(experiment, train, *, name, count=50, groups=None):
    """Train on a few rows until their loss is near zero: the first step of the Stanford poster (seed 000).

    The rows are judged as dev rows are, without dropout. What keeps a loss above zero, smoothed and mixed targets, is
    left out, and so is what stops before.

    Args:
        experiment: the recipe.
        train: `batches.Rows` to take from.
        name: of the model, for the progress bar.
        count: rows taken, chosen by a hash of the id.
        groups: the group of each label, texts (labels,).

    Returns:
        The history: one dict an epoch, `dev_loss` and `dev_micro_f1` of the few rows among it.

    Raises:
        InputError: at the end the loss is not below a tenth of what a constant answer has.
    """
    rows = train.take(splits.limit_rows(train.ids, count)).resident()
    training = dataclasses.replace(
        experiment.training,
        epochs=OVERFIT_EPOCHS,
        batch=min(experiment.training.batch, OVERFIT_BATCH),
        patience=0,
        label_smoothing=0.0,
        mixup=0.0,
    )
    experiment = dataclasses.replace(experiment, training=training)
    history = fit.fit(experiment, rows, rows, name=name, groups=groups).history
    own = sampling.own_columns(rows.targets, experiment.least_share, experiment.most_share)
    first, last = constant_loss(rows.targets[:, own]), history[-1]["dev_loss"]
    if last > OVERFIT_SHARE * first:
        raise InputError(
            f"The loss on {len(rows.ids)} photos went from {first:.4f} (the same answer for each) to {last:.4f} in "
            f"{len(history)} epochs, not near zero: raise training.learning_rate or widen head.units; if that does "
            "not help, features and labels do not belong together."
        )
    return history


def learning_curve(experiment, train, dev, *, name, shares=(0.02, 0.075, 0.1, 1.0), groups=None):
    """Train on growing parts of the rows, each part within the next: does F1 still rise with more photos?

    The second step of the Stanford poster (seed 000), whose parts of 1,014,544 photos were 20,000, 75,000, 100,000 and
    all.

    Args:
        experiment: the recipe.
        train, dev: `batches.Rows`; all parts are judged on the same dev rows.
        name: of the model, for the progress bar.
        shares: of the training rows, each in (0, 1].
        groups: the group of each label, texts (labels,).

    Returns:
        A dict for each share: rows, micro_f1 (on dev, at its best threshold), dev_loss, loss, all of the last epoch.
    """
    return [_point(experiment, train, dev, max(1, round(share * len(train.ids))), name, groups) for share in shares]


def constant_loss(targets):
    """Give the mean binary cross entropy of answering each label's share of the rows, a number."""
    shares = np.clip(targets.mean(axis=0), 1e-7, 1 - 1e-7)
    return float(-np.mean(shares * np.log(shares) + (1 - shares) * np.log(1 - shares)))


def _point(experiment, train, dev, count, name, groups):
    rows = train.take(splits.limit_rows(train.ids, count))
    last = fit.fit(experiment, rows, dev, name=f"{name} on {count:,} photos", groups=groups).history[-1]
    return {"rows": count, "micro_f1": last["dev_micro_f1"], "dev_loss": last["dev_loss"], "loss": last["loss"]}
