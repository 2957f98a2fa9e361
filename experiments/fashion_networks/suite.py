"""Whole networks of student teams, small, on the photos of the suite fashion_products.

Command: make report SUITE=fashion_networks DATA=folder WEIGHTS=folder
Cost: an hour on 2 cores. The members are those of team MLoB's ensemble [MLoB], each trained end to end as
theirs was.
Measured in docs/networks.md. They are a suite of their own so that a report of fashion_products need not train them.
"""

from mlob.recipes import Ensemble, Suite

recipe = Suite(
    data="data/fashion-products",
    members=(
        *("mobilenet_whole", "inception_v3_whole_small", "xception_whole_small", "resnet50_whole_small"),
        *("xception_whole_large", "specialists_whole"),
    ),
    rows=(
        *("mobilenet_whole_weighted", "frequent_whole", "rare_whole", "convolutions", "convolutions_groups"),
        *("poster_50_500_1", "poster_50_20k_1", "poster_100k_20k_1", "poster_100k_20k_6", "poster_100k_5k_4"),
        *("poster_1m_500_1", "poster_1m_500_4", "poster_1m_5k_4", "poster_1m_22k_4"),
    ),
    ensemble=Ensemble(allow_none=True),
)
