"""InceptionV3 at 224 pixels, cut before its last two blocks, averaged: 1,280 features.

Command: make train SUITE=fashion_networks MODEL=inception_v3_whole_small DATA=folder WEIGHTS=folder
Cost: about 5 GFLOP a photo.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="inception_v3", layer="mixed8")
