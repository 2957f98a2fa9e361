"""Two views of each photo, as it is and mirrored: in each epoch a row comes from one of them.

This brings back augmentation, which precomputed features rule out. Predictions are means over the views.

Command: make train SUITE=fashion_products MODEL=views DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("efficientnet_lite0", "efficientnet_lite0_flip"), views=True)
