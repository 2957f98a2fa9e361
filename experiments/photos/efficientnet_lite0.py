"""The default head on EfficientNet-Lite0's features, whose weights need no download.

Command: make train SUITE=photos MODEL=efficientnet_lite0 DATA=folder
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("efficientnet_lite0",))
