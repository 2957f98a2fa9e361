"""iMaterialist Fashion 2018: the rows of team MLoB's Table 1 [MLoB], as heads on frozen features and as whole
networks.

Command: make submission SUITE=imaterialist2018
Data: train.json, validation.json, test.json, the label map, and the photos under images/<split>/.
Cost: six passes over 1,064,147 photos; Xception at 299 pixels alone takes 5 hours at 53 photos/s on 2 cores, the heads
minutes each. `make report` trains the whole networks, too (networks.py): for these take a GPU, or train one by its
name.
Reported by MLoB on Kaggle's test: best single 0.504, PSO of 227 M parameters 0.506. The validation photos are the
first 9,897 of test, and have 8.0 labels each, where train has 5.8: figures from different splits cannot be compared.
"""

from mlob.recipes import Suite

recipe = Suite(
    data="data/imaterialist2018",
    members=(
        "xception",
        "xception_precompute",
        "xception_small",
        "inception_v3_small",
        "resnet50_small",
        "mobilenet",
        "specialists",
    ),
    rows=(
        *("frequent", "rare", "minimum_count"),
        *("mobilenet_whole", "mobilenet_whole_weighted", "inception_v3_whole_small", "xception_whole_small"),
        *("resnet50_whole_small", "xception_whole_large", "frequent_whole", "rare_whole", "specialists_whole"),
        "convolutions",
        *("poster_50_500_1", "poster_50_20k_1", "poster_100k_20k_1", "poster_100k_20k_6", "poster_100k_5k_4"),
        *("poster_1m_500_1", "poster_1m_500_4", "poster_1m_5k_4", "poster_1m_22k_4"),
    ),
)
