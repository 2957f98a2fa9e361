"""Xception at 299 pixels, averaged: team MLoB's feature set [MLoB], with Xception's own preprocessing.

Command: make features
Cost: 16.8 GFLOP a photo; 28 photos/s in float32 and 53 in bfloat16 on 2 cores with AVX-512.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="xception", size="large")
