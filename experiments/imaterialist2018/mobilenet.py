"""The default head on MobileNet's features.

Command: make train SUITE=imaterialist2018 MODEL=mobilenet
Reported by MLoB, network trained end to end, on Kaggle's test: MobileNet 0.21.
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("mobilenet",))
