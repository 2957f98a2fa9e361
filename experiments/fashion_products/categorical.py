"""Cross entropy of one softmax a group: `groups`, whose loss is binary cross entropy of the softmaxes' probabilities.

Command: make train SUITE=fashion_products MODEL=categorical DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Head, Training

recipe = Experiment(stores=("densenet169",), head=Head(groups=True), training=Training(loss="categorical"))
