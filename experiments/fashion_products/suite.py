"""9,583 product photos of a fashion shop, 126 labels in 7 groups, about 7 on each photo.

Command: make submission SUITE=fashion_products DATA=folder WEIGHTS=folder
The data are the layout of iMaterialist 2018; the members are those that weights cut before the last block serve too.
"""

from mlob.recipes import Suite

recipe = Suite(
    data="data/fashion-products",
    members=("densenet169", "xception", "resnet50", "efficientnet_lite0", "mobilenet", "side_by_side"),
    rows=("mlp", "linear"),
)
