"""One head over both networks' features, with one softmax for each group of labels that exclude each other.

Command: make train SUITE=photos MODEL=side_by_side DATA=folder
"""

from mlob.recipes import Experiment, Head, Training

recipe = Experiment(
    stores=("efficientnet_lite0", "xception_large"),
    head=Head(groups=True),
    training=Training(folds=5),
)
