"""The default head on ResNet50's features at 224 pixels.

Command: make train SUITE=imaterialist2018 MODEL=resnet50_small
Reported by MLoB, network trained end to end, on Kaggle's test: ResNet_small 0.38.
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("resnet50",))
