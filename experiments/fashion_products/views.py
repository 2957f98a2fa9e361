"""Two views of each photo, as it is and mirrored: a row of an epoch comes from one of them.

It gives back the augmentation that the fast path loses (seed 001); predictions are means over the views.

Command: make train SUITE=fashion_products MODEL=views DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("efficientnet_lite0", "efficientnet_lite0_flip"), views=True)
