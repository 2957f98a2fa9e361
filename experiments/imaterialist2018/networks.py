"""Whole networks as two student teams trained them, before anybody kept features.

`*_whole*`: the networks of team MLoB's Table 1 [MLoB], in batches of 64. Nadam trains the top for an epoch of 800
steps, gradient descent for 50 more; then it trains the last layers, too, for 100 epochs of 160 steps. The custom loss
of `mobilenet_whole_weighted` is their weighted squared error. `frequent_whole` and `rare_whole` are their specialists,
and `specialists_whole` is the sum of these. `convolutions` is their small network, trained from nothing.

`poster_<photos>_<steps>_<weight>`: the Inception v3 of a poster [Stanford poster], all of it by gradient descent at a
rate of 0.01 in batches of 100, on so many photos for so many steps, with so much weight on the positive labels.

Command: make train SUITE=imaterialist2018 MODEL=xception_whole_large DATA=folder
Cost: MLoB's phases take 3.6 million photos through a network, of which 1.0 million train its last layers; the poster's
up to 2.2 million, which train all of it. That is hours on a GPU, days on 2 cores. The store of pixels takes 160 GB at
224 pixels and 285 GB at 299, a fifth of that or less as JPEGs (docs/scale.md).
Reported: `reported` of each, by MLoB as F1 on Kaggle's test, by the poster on a part of train, at a threshold of 0.5.

Where their code did what they did not mean, what they meant stands here. MLoB's gradient descent on the top had a
momentum of 1, which never decays: 0.9 here, as in their last phase. They divided pixels by 255 for every network: here
each has its own preprocessing. Their code cut Inception v3 at Xception's layer: here at the one in their notes. They
cut the rate to a tenth after one epoch without gain, here it is a fifth after three. One of their loaders shuffled
photos apart from their labels, so that the low figures may say little about the networks. Of the photos to train on,
50 say, a part is dev (10 of them), on which no weights are fitted.
"""

from dataclasses import replace

from mlob.recipes import MLP, Convolutions, Experiment, Network, Phase, Sum, Training

TOP = replace(MLP, units=(1024,), batch_norm=False)
MOBILENET_TOP = replace(TOP, units=(), feature_dropout=0.001)
SGD = Phase(optimizer="sgd", learning_rate=1e-2, momentum=0.9, nesterov=True, schedule="plateau", patience=10)


def network(extractor: str, cut: str) -> Network:
    """Give a network with MLoB's phases, of which the last trains its layers from the cut on."""
    nadam = Phase(unfreeze="nothing", optimizer="nadam", learning_rate=2e-3, schedule="constant", steps=800)
    top = replace(SGD, unfreeze="nothing", epochs=50, steps=800)
    last = replace(SGD, unfreeze=cut, learning_rate=1e-4, epochs=100, steps=160)
    return Network(extractor=extractor, phases=(nadam, top, last))


BATCHES = Training(batch=64)
INCEPTION = Experiment(("pixels_small",), TOP, BATCHES, network=network("inception_v3_small", "62"))
MOBILENET = Experiment(("pixels_small",), MOBILENET_TOP, BATCHES, network=network("mobilenet", "conv_dw_11_relu"))
RMSPROP = Phase(optimizer="rmsprop", schedule="constant", size=200, epochs=8)
SIX = Convolutions((128, 64) * 3, kernel=2, pooled=6, pool=2, flatten=False)


def poster(epochs: int, steps: int, weight: float, reported: str, photos: int = 0) -> Experiment:
    """Give the poster's network for so many epochs of so many steps; 0 photos are all."""
    phase = Phase(optimizer="sgd", learning_rate=0.01, schedule="constant", epochs=epochs, steps=steps)
    return Experiment(
        ("pixels_large",),
        replace(TOP, units=()),
        Training(loss="weighted", positive_weight=weight, batch=100, limit=photos),
        network=Network(extractor="inception_v3_large", phases=(phase,)),
        reported=f"F1 {reported}",
    )


recipes = {
    "mobilenet_whole": replace(MOBILENET, reported="MobileNet 0.21"),
    "mobilenet_whole_weighted": replace(
        MOBILENET, training=replace(BATCHES, loss="squared_error"), reported="MobileNet custom loss 0.20"
    ),
    "inception_v3_whole_small": replace(INCEPTION, reported="InceptionV3_small 0.35"),
    "xception_whole_small": Experiment(
        ("pixels_small",), TOP, BATCHES, network=network("xception_small", "add_10"), reported="Xception_small 0.38"
    ),
    "resnet50_whole_small": Experiment(
        ("pixels_small",), TOP, BATCHES, network=network("resnet50", "conv5_block2_add"), reported="ResNet_small 0.38"
    ),
    "xception_whole_large": Experiment(
        ("pixels_large",), TOP, BATCHES, network=network("xception_large", "add_10"), reported="Xception_large 0.41"
    ),
    "frequent_whole": replace(INCEPTION, least_share=100_000 / 1_014_544),
    "rare_whole": replace(INCEPTION, least_share=501 / 1_014_544, most_share=100_000 / 1_014_544),
    "specialists_whole": Sum(parts=("frequent_whole", "rare_whole")),
    "convolutions": Experiment(
        ("pixels_small",), replace(TOP, units=(100,)), BATCHES, network=Network(convolutions=SIX, phases=(RMSPROP,))
    ),
    "poster_50_500_1": poster(500, 0, 1.0, "0.286", photos=50),
    "poster_50_20k_1": poster(20_000, 0, 1.0, "0.250", photos=50),
    "poster_100k_20k_1": poster(40, 500, 1.0, "0.320", photos=100_000),
    "poster_100k_20k_6": poster(40, 500, 6.0, "0.434", photos=100_000),
    "poster_100k_5k_4": poster(10, 500, 4.0, "0.411", photos=100_000),
    "poster_1m_500_1": poster(1, 500, 1.0, "0.215"),
    "poster_1m_500_4": poster(1, 500, 4.0, "0.355"),
    "poster_1m_5k_4": poster(10, 500, 4.0, "0.389"),
    "poster_1m_22k_4": poster(44, 500, 4.0, "0.453"),
}
