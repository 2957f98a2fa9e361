"""Inception v3 up to its block mixed8, at 96 pixels: small networks begin with it.

Command: make train SUITE=fashion_inaturalist MODEL=inception_whole DATA=folder WEIGHTS=folder
Cost: 0.7 GFLOP a photo.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet("inception_v3", size="tiny", layer="mixed8")
