"""Xception at 224 pixels, averaged: half the arithmetic of 299 pixels.

Command: make features
Cost: 9.4 GFLOP a photo.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="xception", size="small")
