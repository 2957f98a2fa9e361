"""A kernel machine on EfficientNet-Lite0's features, which learns from validation, too: what 630 photos are enough for.

Command: make train MODEL=kernel
"""

from mlob.recipes import KERNEL, Experiment, Training

recipe = Experiment(stores=("efficientnet_lite0",), head=KERNEL, training=Training(folds=5))
