"""A fifth of the features is dropped, as well as half of the hidden units.

Command: make train SUITE=fashion_products MODEL=feature_dropout DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Head

recipe = Experiment(stores=("densenet169",), head=Head(feature_dropout=0.2))
