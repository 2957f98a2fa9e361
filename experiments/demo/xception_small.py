"""The default head on Xception's features at 224 pixels.

Command: make train MODEL=xception_small
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("xception_small",))
