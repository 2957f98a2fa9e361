"""The default head on InceptionV3's features at 224 pixels.

Command: make train SUITE=imaterialist2018 MODEL=inception_v3_small
Reported by MLoB, network trained end to end, on Kaggle's test: InceptionV3_small 0.35.
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("inception_v3_small",))
