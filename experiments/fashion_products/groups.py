"""One softmax for each group: a photo has at most one label of each of the 7 groups.

A task for each group is the idea of [Fashion products] and [iMaterialist 2017].

Command: make train SUITE=fashion_products MODEL=groups DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Head

recipe = Experiment(stores=("densenet169",), head=Head(groups=True))
