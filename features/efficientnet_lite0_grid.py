"""EfficientNet-Lite0 at 224 pixels, its last map as it is: 7 x 7 x 1,280 features, 125 KB a photo.

Command: make features SUITE=fashion_products MODEL=grid DATA=folder
Cost: as `efficientnet_lite0`, but 49 times its bytes: 1.2 GB for 9,583 photos.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="efficientnet_lite0", pool="grid")
