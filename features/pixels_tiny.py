"""Photos as they are decoded, at 96 pixels a side: what small networks read in a fifth of the time.

Command: make features SUITE=fashion_imaterialist2017 MODEL=alone DATA=folder
Cost: decoding alone; 28 KB a photo.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet("pixels", size="tiny", pool="grid")
