"""Xception at 224 pixels, cut before its last block (the sum that ends block 13), averaged: 1,024 features.

Command: make features SUITE=fashion_products DATA=folder WEIGHTS=folder
Cost: about 8 GFLOP a photo, half of what 299 pixels take; enlarging photos of 224 pixels gains little.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="xception", layer="add_11")
