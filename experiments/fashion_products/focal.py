"""Focal loss, gamma 2 (Lin et al. 2017): labels that the head is sure of count less.

Command: make train SUITE=fashion_products MODEL=focal DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Training

recipe = Experiment(stores=("densenet169",), training=Training(loss="focal"))
