"""The upper blocks of MobileNet, trained from stored maps: the cheap way to fine-tune.

The lower ten blocks run once, when the features are made. The upper three begin with ImageNet's weights, and the head
is the one that `mobilenet` has trained.

Command: make train SUITE=fashion_products MODEL=mobilenet_upper DATA=folder WEIGHTS=folder
Cost: two minutes on 2 cores, and 1.9 GB on disk.
Measured in docs/networks.md.
"""

from mlob.recipes import Experiment, Network, Phase, Training

recipe = Experiment(
    stores=("mobilenet_conv_pw_10_grid",),
    network=Network(
        extractor="mobilenet",
        phases=(Phase(learning_rate=2e-4, epochs=5, warmup_epochs=1, block_decay=0.8),),
    ),
    training=Training(batch=32),
    start="mobilenet",
)
