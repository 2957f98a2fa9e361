"""EfficientNet-Lite0's features of photos cropped to where `finder` of fashion_inaturalist sees the article.

Command: make features SUITE=fashion_inaturalist MODEL=cropped DATA=folder
Cost: as `efficientnet_lite0_huge` and `efficientnet_lite0` together.
`make train SUITE=fashion_inaturalist MODEL=finder DATA=folder` makes the head; with RUNS= name its file,
SET=features.crop.head=…
"""

from mlob.recipes import Crop, FeatureSet

recipe = FeatureSet("efficientnet_lite0", crop=Crop("runs/fashion_inaturalist/finder/head.keras"))
