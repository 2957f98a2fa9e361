"""MobileNet, tuned: it begins with the head that `mobilenet` has trained on its features, then its upper layers learn.

Lower blocks learn at lower rates (Howard and Ruder 2018).

Command: make train SUITE=fashion_products MODEL=mobilenet_tuned DATA=folder WEIGHTS=folder
Cost: 20 minutes on 2 cores.
Measured in docs/networks.md.
"""

from mlob.recipes import Augmentation, Experiment, Network, Phase, Training

recipe = Experiment(
    stores=("pixels_small",),
    network=Network(
        extractor="mobilenet",
        phases=(
            Phase(
                unfreeze="conv_dw_5",
                epochs=12,
                learning_rate=2e-4,
                warmup_epochs=1,
                block_decay=0.8,
                augmentation=Augmentation(flip=True, crop=0.6),
            ),
        ),
        views=("flip",),
    ),
    training=Training(batch=32),
    start="mobilenet",
)
