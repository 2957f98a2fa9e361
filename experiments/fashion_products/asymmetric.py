"""Asymmetric loss, gamma 4 for labels that a photo lacks (Ridnik, Ben-Baruch et al. 2021).

Command: make train SUITE=fashion_products MODEL=asymmetric DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Training

recipe = Experiment(stores=("densenet169",), training=Training(loss="asymmetric", gamma=4.0))
