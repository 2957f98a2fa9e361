"""The default head on InceptionV3 cut after mixed8.

Command: make train SUITE=fashion_products MODEL=inception_v3 DATA=folder WEIGHTS=folder
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("inception_v3_mixed8",))
