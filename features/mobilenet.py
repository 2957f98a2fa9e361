"""MobileNet at 224 pixels, averaged: 1,024 features, the cheapest of Keras's networks here.

Command: make features SUITE=imaterialist2018 MODEL=mobilenet
Cost: 1.1 GFLOP a photo; 545 photos/s on 2 cores with AVX-512, decoding included.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="mobilenet")
