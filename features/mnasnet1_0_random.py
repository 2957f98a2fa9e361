"""MNASNet 1.0 that has learned nothing, at 96 pixels: networks begin with it where no file of weights is named.

Command: make train SUITE=fashion_inaturalist MODEL=mnasnet DATA=folder WEIGHTS=folder
Cost: 0.1 GFLOP a photo.
With a file of torchvision's, SET=features.weights=mnasnet1_0.pth, it begins with ImageNet's weights.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet("mnasnet1_0", size="tiny", weights="random")
