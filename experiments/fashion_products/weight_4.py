"""Binary cross entropy with weight 4 before borne labels (seed 000).

At a threshold of 0.5 the poster saw F1 rise with the weight; after the best threshold there is nothing to gain.

Command: make train SUITE=fashion_products MODEL=weight_4 DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Training

recipe = Experiment(stores=("densenet169",), training=Training(loss="weighted", positive_weight=4.0))
