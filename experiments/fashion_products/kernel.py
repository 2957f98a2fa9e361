"""Kernel ridge regression over five stores, with a softmax a group on its scores; it learns from validation, too.

Command: make train SUITE=fashion_products MODEL=kernel DATA=folder WEIGHTS=folder
Cost: three minutes on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import KERNEL, Experiment, Training

recipe = Experiment(
    stores=("densenet169", "xception_add_11_small", "resnet50_conv4", "efficientnet_lite0", "mobilenet"),
    head=KERNEL,
    training=Training(folds=5),
)
