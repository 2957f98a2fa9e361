"""The default head on EfficientNet-Lite0's features.

Command: make train MODEL=efficientnet_lite0
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("efficientnet_lite0",))
