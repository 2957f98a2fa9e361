"""Your own photos: two networks of different size, heads on each and on both, and a kernel machine on both.

Heads alone where there are more than 12,000 photos to train on. docs/heads.md has the evidence.

Command: make submission SUITE=photos DATA=folder
Cost: a photo takes 17 GFLOP; 100,000 photos take about 40 minutes on 2 cores with AVX-512 BF16.
"""

from mlob.recipes import Suite

recipe = Suite(data="data/photos", members=("efficientnet_lite0", "xception", "side_by_side", "kernel"))
