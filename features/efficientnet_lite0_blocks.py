"""EfficientNet-Lite0 at 224 pixels, the averages of its main stages side by side: 1,472 features.

Command: make features SUITE=fashion_products MODEL=blocks DATA=folder
Cost: as `efficientnet_lite0`.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="efficientnet_lite0", pool="blocks")
