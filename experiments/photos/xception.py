"""The default head on Xception's features at 299 pixels.

Command: make train SUITE=photos MODEL=xception DATA=folder
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("xception_large",))
