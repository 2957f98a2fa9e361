"""ResNet50 at 224 pixels, averaged: team MLoB's ResNet_small [MLoB] as a frozen extractor.

Command: make features SUITE=imaterialist2018 MODEL=resnet50_small
Cost: 7.7 GFLOP a photo.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="resnet50")
