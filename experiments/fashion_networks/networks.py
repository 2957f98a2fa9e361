"""Whole networks as two student teams trained them, small: those of the suite imaterialist2018 on 6,450 photos.

A photo passes through a network as often as there. 1,014,544 photos became 6,450, of which epochs take half or less;
100,000 became 679, and 50 stayed. Sides are 80 and 104 pixels for 224 and 299. Batches are of 64 photos in `*_whole`,
as theirs, and of 10 in `poster_*`, for 100. Of the 20,000 steps on 50 photos, which learn them by heart, 1,000 are
left.

Where the weights at hand lack a network's last layers, it ends before them, and its own last layers are trained:
Xception ends with the sum of its block 13, Inception v3 two blocks and ResNet50 one stage before its end.

Command: make train SUITE=fashion_networks MODEL=xception_whole_large DATA=folder WEIGHTS=folder
Cost: one to six minutes each on 2 cores.
Measured in docs/networks.md.
"""

from dataclasses import replace

from mlob.recipes import MLP, Convolutions, Experiment, Network, Phase, Sum, Training

TOP = replace(MLP, units=(1024,), batch_norm=False)
MOBILENET_TOP = replace(TOP, units=(), feature_dropout=0.001)
SGD = Phase(optimizer="sgd", learning_rate=1e-2, momentum=0.9, nesterov=True, schedule="plateau", patience=10)
SMALL, LARGE = 80, 104


def network(extractor: str, cut: str, size: int = SMALL) -> Network:
    """Give a network with MLoB's phases, of which the last trains its layers from the cut on."""
    nadam = Phase(unfreeze="nothing", optimizer="nadam", learning_rate=2e-3, schedule="constant", steps=5, size=size)
    top = replace(SGD, unfreeze="nothing", epochs=3, steps=85, size=size)
    last = replace(SGD, unfreeze=cut, learning_rate=1e-4, epochs=2, steps=50, size=size)
    return Network(extractor=extractor, phases=(nadam, top, last))


BATCHES = Training(batch=64)
XCEPTION = Experiment(("pixels_small",), TOP, BATCHES, network=network("xception_add_11_small", "add_10"))
INCEPTION = Experiment(("pixels_small",), TOP, BATCHES, network=network("inception_v3_mixed8_small", "mixed7"))
MOBILENET = Experiment(("pixels_small",), MOBILENET_TOP, BATCHES, network=network("mobilenet", "conv_dw_11_relu"))
RESNET = Experiment(("pixels_small",), TOP, BATCHES, network=network("resnet50_conv4", "conv4_block5_add"))
RMSPROP = Phase(optimizer="rmsprop", schedule="constant", size=SMALL, epochs=8)
SIX = Convolutions((128, 64) * 3, kernel=2, pooled=6, pool=2, flatten=False)


def poster(epochs: int, steps: int, weight: float, reported: str, photos: int = 0) -> Experiment:
    """Give the poster's network for so many epochs of so many steps; 0 photos are all."""
    phase = Phase(optimizer="sgd", learning_rate=0.01, schedule="constant", epochs=epochs, steps=steps, size=SMALL)
    return Experiment(
        ("pixels_small",),
        replace(TOP, units=()),
        Training(loss="weighted", positive_weight=weight, batch=10, limit=photos),
        network=Network(extractor="inception_v3_mixed8_small", phases=(phase,)),
        reported=f"F1 {reported}",
    )


recipes = {
    "mobilenet_whole": replace(MOBILENET, reported="MobileNet 0.21"),
    "mobilenet_whole_weighted": replace(
        MOBILENET, training=replace(BATCHES, loss="squared_error"), reported="MobileNet custom loss 0.20"
    ),
    "inception_v3_whole_small": replace(INCEPTION, reported="InceptionV3_small 0.35"),
    "xception_whole_small": replace(XCEPTION, reported="Xception_small 0.38"),
    "resnet50_whole_small": replace(RESNET, reported="ResNet_small 0.38"),
    "xception_whole_large": replace(
        XCEPTION, network=network("xception_add_11_small", "add_10", LARGE), reported="Xception_large 0.41"
    ),
    "frequent_whole": replace(INCEPTION, least_share=100_000 / 1_014_544),
    "rare_whole": replace(INCEPTION, most_share=100_000 / 1_014_544),
    "specialists_whole": Sum(parts=("frequent_whole", "rare_whole")),
    "convolutions": Experiment(
        ("pixels_small",), replace(TOP, units=(100,)), BATCHES, network=Network(convolutions=SIX, phases=(RMSPROP,))
    ),
    "poster_50_500_1": poster(125, 0, 1.0, "0.286", photos=50),
    "poster_50_20k_1": poster(250, 0, 1.0, "0.250", photos=50),
    "poster_100k_20k_1": poster(20, 0, 1.0, "0.320", photos=679),
    "poster_100k_20k_6": poster(20, 0, 6.0, "0.434", photos=679),
    "poster_100k_5k_4": poster(5, 0, 4.0, "0.411", photos=679),
    "poster_1m_500_1": poster(1, 32, 1.0, "0.215"),
    "poster_1m_500_4": poster(1, 32, 4.0, "0.355"),
    "poster_1m_5k_4": poster(5, 64, 4.0, "0.389"),
    "poster_1m_22k_4": poster(5, 280, 4.0, "0.453"),
}
