"""Four branches of hidden layers on the same features: the mean of four heads, trained as one.

Command: make train SUITE=fashion_products MODEL=branches DATA=folder WEIGHTS=folder
Cost: four minutes on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Head

recipe = Experiment(stores=("densenet169",), head=Head(branches=4))
