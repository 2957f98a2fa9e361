"""One head over both networks' features.

Command: make train SUITE=photos MODEL=side_by_side DATA=folder
"""

from mlob.recipes import Experiment

recipe = Experiment(
    stores=(
        "efficientnet_lite0",
        "xception_large",
    )
)
