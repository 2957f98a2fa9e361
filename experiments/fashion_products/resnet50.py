"""The default head on ResNet50 cut after its fourth stage.

Command: make train SUITE=fashion_products MODEL=resnet50 DATA=folder WEIGHTS=folder
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("resnet50_conv4",))
