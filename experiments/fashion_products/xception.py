"""The default head on Xception cut before its last block.

Command: make train SUITE=fashion_products MODEL=xception DATA=folder WEIGHTS=folder
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("xception_add_11_small",))
