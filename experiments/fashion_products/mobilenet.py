"""The default head on MobileNet's averages.

Command: make train SUITE=fashion_products MODEL=mobilenet DATA=folder WEIGHTS=folder
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("mobilenet",))
