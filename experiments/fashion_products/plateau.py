"""Team MLoB's schedule [MLoB]: a fifth of the learning rate after three epochs without gain, and their early stop.

Command: make train SUITE=fashion_products MODEL=plateau DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Training

recipe = Experiment(stores=("densenet169",), training=Training(schedule="plateau", epochs=100, patience=10))
