"""Kernel ridge regression over both networks' features, with a softmax a group on its scores: the best of few photos.

Command: make train SUITE=photos MODEL=kernel DATA=folder
Measured in docs/heads.md.
"""

from mlob.recipes import KERNEL, Experiment, Training

recipe = Experiment(
    stores=("efficientnet_lite0", "xception_large"),
    head=KERNEL,
    training=Training(folds=5),
    most_photos=12_000,  # with a fifth of them from validation it learns from less than its 15,000
)
