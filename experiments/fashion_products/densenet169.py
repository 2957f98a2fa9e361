"""The default head on DenseNet169's averages.

Command: make train SUITE=fashion_products MODEL=densenet169 DATA=folder WEIGHTS=folder
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("densenet169",))
