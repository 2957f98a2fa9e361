"""The default head on Xception's features at 224 pixels.

Command: make train SUITE=imaterialist2018 MODEL=xception_small
Reported by MLoB, network trained end to end, on Kaggle's test: Xception_small 0.38.
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("xception_small",))
