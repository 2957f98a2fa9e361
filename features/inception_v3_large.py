"""InceptionV3 at 299 pixels, averaged: what the whole network of the poster begins with [Stanford poster].

Command: make train SUITE=imaterialist2018 MODEL=poster_1m_22k_4 DATA=folder
Cost: 11.4 GFLOP a photo.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="inception_v3", size="large")
