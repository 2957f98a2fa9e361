"""What to run before all else: a few photos, which must be learned by heart."""

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
        {photos, constant: the loss of the same answer for each, loss: at the end, micro_f1, epochs}.

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
    if not last <= OVERFIT_SHARE * first:
        raise InputError(
            f"The loss on {len(rows.ids)} photos went from {first:.4f} (the same answer for each) to {last:.4f} in "
            f"{len(history)} epochs, not near zero: raise training.learning_rate or widen head.units; if that does "
            "not help, features and labels do not belong together."
        )
    score, epochs = history[-1]["dev_micro_f1"], len(history)
    return {"photos": len(rows.ids), "constant": first, "loss": last, "micro_f1": score, "epochs": epochs}


def text(name, found):
    """Tell what `overfit` found in one line."""
    return (
        f"{name} learned {found['photos']} photos by heart: loss {found['constant']:.4f} (the same answer for each) to "
        f"{found['loss']:.2g}, micro-F1 {found['micro_f1']:.3f}, in {found['epochs']} epochs"
    )


def constant_loss(targets):
    """Give the mean binary cross entropy of answering each label's share of the rows, a number."""
    shares = np.clip(targets.mean(axis=0), 1e-7, 1 - 1e-7)
    return float(-np.mean(shares * np.log(shares) + (1 - shares) * np.log(1 - shares)))
