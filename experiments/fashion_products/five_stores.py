"""One softmax for each group over five stores side by side: MobileNet added to `groups_side_by_side`.

Command: make train SUITE=fashion_products MODEL=five_stores DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Head, Training

recipe = Experiment(
    stores=("densenet169", "xception_add_11_small", "resnet50_conv4", "efficientnet_lite0", "mobilenet"),
    head=Head(units=(512,), groups=True),
    training=Training(epochs=25),
)
