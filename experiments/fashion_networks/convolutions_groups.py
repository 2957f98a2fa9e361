"""Three convolutions and three hidden layers trained from nothing, one softmax for each group [iMaterialist 2017].

As in their code, no pooling follows the third convolution: only so are there the 1.4 million parameters that they
tell. Photos are turned, shifted, zoomed and mirrored in training, and not on validation, as theirs were too. All
groups weigh alike; their tasks had falling weights.

Command: make train SUITE=fashion_networks MODEL=convolutions_groups DATA=folder
Cost: 18 minutes on 2 cores.
Reported for their first task, four kinds of clothes: F1 0.72, accuracy 0.715; with a second task 0.61 to 0.68.
Measured in docs/networks.md.
"""

from dataclasses import replace

from mlob.recipes import MLP, Augmentation, Convolutions, Experiment, Network, Phase, Training

PHASE = Phase(
    optimizer="adam",
    schedule="constant",
    epochs=30,
    patience=6,
    size=256,
    augmentation=Augmentation(flip=True, rotation=45.0, shift=0.25, zoom=0.2),
)
recipe = Experiment(
    stores=("pixels_small",),
    head=replace(MLP, units=(160, 128, 128), batch_norm=False, groups=True),
    training=Training(loss="categorical", batch=128),
    network=Network(convolutions=Convolutions((8, 16, 32), kernel=4, pooled=2, pool=4, dropout=0.5), phases=(PHASE,)),
    reported="4 kinds of clothes: F1 0.72",
)
