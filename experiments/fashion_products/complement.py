"""Complement entropy (Chen et al. 2019; [iNaturalist 2019]): labels that a photo lacks should be equally improbable.

Command: make train SUITE=fashion_products MODEL=complement DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Training

recipe = Experiment(stores=("densenet169",), training=Training(loss="complement"))
