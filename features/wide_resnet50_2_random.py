"""Wide ResNet-50-2 that has learned nothing, at 96 pixels: networks begin with it where no file of weights is named.

Command: make train SUITE=fashion_inaturalist MODEL=wide_resnet DATA=folder WEIGHTS=folder
Cost: 4 GFLOP a photo.
With a file of torchvision's, SET=features.weights=wide_resnet50_2.pth, it begins with ImageNet's weights.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet("wide_resnet50_2", size="tiny", weights="random")
