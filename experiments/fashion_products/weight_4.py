"""Binary cross entropy with weight 4 on the labels that a photo has [Stanford poster].

The poster saw F1 rise with the weight, at a threshold of 0.5. At the best threshold nothing is gained.

Command: make train SUITE=fashion_products MODEL=weight_4 DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Training

recipe = Experiment(stores=("densenet169",), training=Training(loss="weighted", positive_weight=4.0))
