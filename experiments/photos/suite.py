"""Your own photos: two networks of different size, heads on each and on both, and what learns best from few photos.

Up to 3,000 photos to train on there are two heads, one over both networks, logistic regression and a kernel machine; up
to 12,000 all but logistic regression; above that heads alone. docs/heads.md has the evidence.

Command: make submission SUITE=photos DATA=folder
Cost: a photo takes 17 GFLOP; 100,000 photos take about 40 minutes on 2 cores with AVX-512 BF16.
"""

from mlob.recipes import Suite

recipe = Suite(data="data/photos", members=("efficientnet_lite0", "xception", "side_by_side", "kernel", "regression"))
