"""One softmax for each group over five stores, refitted by five folds of validation: the mean of five heads.

The recipe is that of `branches_side_by_side` with one branch: the mean of the folds' heads is in its place.

Command: make train SUITE=fashion_products MODEL=bagged DATA=folder WEIGHTS=folder
Cost: four minutes on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Head, Training

recipe = Experiment(
    stores=("densenet169", "xception_add_11_small", "resnet50_conv4", "efficientnet_lite0", "mobilenet"),
    head=Head(units=(512,), groups=True, feature_dropout=0.3),
    training=Training(loss="categorical", epochs=40, weight_decay=0.05, folds=5),
)
