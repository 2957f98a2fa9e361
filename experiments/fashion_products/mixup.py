"""Each row mixed with another, in shares of Beta(0.2, 0.2) (Zhang et al. 2018), on features.

Command: make train SUITE=fashion_products MODEL=mixup DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Training

recipe = Experiment(stores=("densenet169",), training=Training(mixup=0.2))
