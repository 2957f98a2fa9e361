"""The default head on Xception's features at 299 pixels.

Command: make train MODEL=xception
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("xception_large",))
