"""EfficientNet-Lite0 at 224 pixels, averaged, of mirrored photos: a second view beside `efficientnet_lite0`.

Command: make features SUITE=fashion_products MODEL=views DATA=folder
Cost: as `efficientnet_lite0`.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="efficientnet_lite0", view="flip")
