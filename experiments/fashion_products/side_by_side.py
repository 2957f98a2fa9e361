"""One head over four stores side by side: it can weigh one network's features against another's, photo by photo.

Command: make train SUITE=fashion_products MODEL=side_by_side DATA=folder WEIGHTS=folder
"""

from mlob.recipes import Experiment

recipe = Experiment(
    stores=(
        "densenet169",
        "xception_add_11_small",
        "resnet50_conv4",
        "efficientnet_lite0",
    )
)
