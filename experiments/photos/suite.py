"""Your own photos: two networks of different size, and one head that reads both.

Command: make submission SUITE=photos DATA=folder
Cost: a photo takes 17 GFLOP; 100,000 photos take about 40 minutes on 2 cores with AVX-512 BF16.
"""

from mlob.recipes import Suite

recipe = Suite(data="data/photos", members=("efficientnet_lite0", "xception", "side_by_side"))
