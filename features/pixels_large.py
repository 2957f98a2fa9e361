"""Photos as they are decoded and letterboxed, 299 x 299 x 3 uint8: for whole networks that take 299 pixels.

Command: make features SUITE=imaterialist2018 MODEL=xception_whole_large DATA=folder
Cost: 268 KB a photo on disk, a fifth or less in a recipe with precision="jpeg95" (docs/scale.md); decoding alone.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="pixels", size="large", pool="grid")
