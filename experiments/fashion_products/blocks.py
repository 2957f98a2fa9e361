"""The default head on the averages of EfficientNet-Lite0's main stages side by side.

Command: make train SUITE=fashion_products MODEL=blocks DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("efficientnet_lite0_blocks",))
