"""Team MLoB's weighted squared error [MLoB], with their class weights.

Command: make train SUITE=fashion_products MODEL=squared_error DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Training

recipe = Experiment(stores=("densenet169",), training=Training(loss="squared_error"))
