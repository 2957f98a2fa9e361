"""The default head on Xception's features at 299 pixels.

Command: make train SUITE=imaterialist2018 MODEL=xception
Reported by MLoB, network trained end to end, on Kaggle's test: Xception_large 0.41.
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("xception_large",))
