"""The whole job on drawn photos: garments, 38 labels, 900 photos, some of them broken on purpose.

Command: make demo
Cost: about two minutes on 2 cores, without the installation.
"""

from mlob.recipes import Suite

recipe = Suite(data="data/demo", members=("xception", "xception_small", "efficientnet_lite0", "kernel"), generated=True)
