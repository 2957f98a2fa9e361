"""Class-balanced weights (Cui et al. 2019): rare labels count more, by their effective number.

Command: make train SUITE=fashion_products MODEL=class_balanced DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Training

recipe = Experiment(stores=("densenet169",), training=Training(loss="class_balanced"))
