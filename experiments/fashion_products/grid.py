"""An attention-pooling head on EfficientNet-Lite0's last map, four queries over its 7 x 7 places.

Command: make train SUITE=fashion_products MODEL=grid DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("efficientnet_lite0_grid",))
