"""The default head on EfficientNet-Lite0's averages.

Command: make train SUITE=fashion_products MODEL=efficientnet_lite0 DATA=folder WEIGHTS=folder
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("efficientnet_lite0",))
