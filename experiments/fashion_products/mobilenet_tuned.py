"""The whole of MobileNet: it begins with the head that `mobilenet` has trained on its features, then all layers learn.

Two phases, the first on smaller photos, both with lower rates for lower blocks (Howard and Ruder 2018).

Command: make train SUITE=fashion_products MODEL=mobilenet_tuned DATA=folder WEIGHTS=folder
Cost: 50 minutes on 2 cores.
Measured in docs/networks.md.
"""

import dataclasses

from mlob.recipes import Augmentation, Experiment, Network, Phase, Training

PHASE = Phase(learning_rate=5e-4, block_decay=0.8, augmentation=Augmentation(flip=True, crop=0.7))
recipe = Experiment(
    stores=("pixels_small",),
    network=Network(
        extractor="mobilenet",
        start="mobilenet",
        phases=(
            dataclasses.replace(PHASE, size=160, epochs=4, warmup_epochs=1, schedule="constant"),
            dataclasses.replace(PHASE, epochs=5),
        ),
        views=("flip",),
    ),
    training=Training(batch=32),
)
