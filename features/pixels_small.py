"""Photos as they are decoded and letterboxed, 224 x 224 x 3 uint8: what whole networks are trained on.

Command: make features SUITE=fashion_products MODEL=mobilenet_tuned DATA=folder
Cost: 150 KB a photo on disk, a fifth or less in a recipe with precision="jpeg95" (docs/scale.md); decoding alone.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet(backbone="pixels", pool="grid")
