"""The default head without dropout.

Command: make train SUITE=fashion_products MODEL=no_dropout DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Head

recipe = Experiment(stores=("densenet169",), head=Head(dropout=0.0))
