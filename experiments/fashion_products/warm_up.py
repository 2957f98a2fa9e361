"""The learning rate rises for five epochs, then falls along a cosine.

Command: make train SUITE=fashion_products MODEL=warm_up DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Training

recipe = Experiment(stores=("densenet169",), training=Training(warmup_epochs=5))
