"""InceptionV3 at 224 pixels, averaged: team MLoB's InceptionV3_small [MLoB] as a frozen
extractor.

Command: make features SUITE=imaterialist2018 MODEL=inception_v3_small
Cost: about 6 GFLOP a photo.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="inception_v3")
