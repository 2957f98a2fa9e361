"""MobileNet's map after its tenth block, 14 x 14 x 512: what a network reads that trains the blocks above alone.

Command: make features SUITE=fashion_products MODEL=mobilenet_upper DATA=folder WEIGHTS=folder
Cost: 0.9 GFLOP a photo, once; 200 KB a photo on disk.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="mobilenet", layer="conv_pw_10_relu", pool="grid")
