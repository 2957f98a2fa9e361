"""One softmax for each group, as in `groups`, trained on its categorical cross entropy.

The loss of `groups` is the binary cross entropy of the same probabilities.

Command: make train SUITE=fashion_products MODEL=categorical DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Head, Training

recipe = Experiment(stores=("densenet169",), head=Head(groups=True), training=Training(loss="categorical"))
