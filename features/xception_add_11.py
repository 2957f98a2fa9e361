"""Xception at 299 pixels, cut before its last block (the sum that ends block 13), averaged: 1,024 features.

Command: make features SUITE=fashion_products DATA=folder
Cost: about 15 GFLOP a photo; 51 photos/s in bfloat16 on 2 cores with AVX-512, decoding included.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="xception", size="large", layer="add_11")
