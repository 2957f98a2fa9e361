"""EfficientNet-Lite0 at 560 pixels, averaged: small things are large enough to be seen, and to be found.

Command: make features SUITE=photos MODEL=finder DATA=folder
Cost: 5 GFLOP a photo, six times those of `efficientnet_lite0`.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="efficientnet_lite0", size="huge")
