"""One head over four stores side by side, one softmax a group: the recipe chosen on dev.

A photo has at most one label of each of the 7 groups (seeds 002 and 004); one hidden layer and half the epochs of the
default reach as much as two of twice the width.

Command: make train SUITE=fashion_products MODEL=groups_side_by_side DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured on dev: 0.908 micro-F1, the default head on DenseNet169 alone 0.902. Scored once on validation: 0.898 (0.892 to
0.903), cross-fitted.
"""

from mlob.recipes import Experiment, Head, Training

recipe = Experiment(
    stores=("densenet169", "xception_add_11_small", "resnet50_conv4", "efficientnet_lite0"),
    head=Head(units=(512,), groups=True),
    training=Training(epochs=25),
)
