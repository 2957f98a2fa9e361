"""One head over four stores side by side, with one softmax for each group.

A photo has at most one label of each of the 7 groups. One hidden layer, trained for half the default's epochs, is as
good as two layers of twice its width.

Command: make train SUITE=fashion_products MODEL=groups_side_by_side DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Head, Training

recipe = Experiment(
    stores=("densenet169", "xception_add_11_small", "resnet50_conv4", "efficientnet_lite0"),
    head=Head(units=(512,), groups=True),
    training=Training(epochs=25),
)
