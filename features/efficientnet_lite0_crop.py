"""EfficientNet-Lite0 at 224 pixels, averaged, of photos cropped to where the model `finder` sees its labels.

Command: make train SUITE=photos MODEL=finder DATA=folder; make features SUITE=photos MODEL=cropped DATA=folder
Cost: 6 GFLOP a photo, and 0.01 s of a core to put a box around the thing.
Expected: benchmarks/results/cropping.md.
Source: Zhou et al. 2016; [iNaturalist 2019] cropped by class activation maps.
"""

from mlob.recipes import Crop, FeatureSet

recipe = FeatureSet(backbone="efficientnet_lite0", crop=Crop(head="runs/photos/finder/head.keras"))
