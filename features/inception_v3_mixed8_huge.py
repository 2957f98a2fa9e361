"""Inception v3 at 560 pixels, up to its block mixed8: the part of its weights that is at hand.

Command: make features SUITE=fashion_inaturalist MODEL=huge DATA=folder WEIGHTS=folder
Cost: about 30 GFLOP a photo.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet("inception_v3", layer="mixed8", size="huge")
