"""Kinds of articles as the main task: what auxiliary tasks, layers of each task and two stages bring, over five seeds.

Command: make report SUITE=fashion_tasks DATA=folder WEIGHTS=folder
Cost: half an hour on 2 cores, once DenseNet169's features are there.
The questions are those of the students of [Fashion products] and [iMaterialist 2017], each answered by them with
one training. Measured in docs/tasks.md.
"""

from mlob.recipes import Ensemble, Suite

recipe = Suite(
    data="data/fashion-products",
    members=("alone", "weighted"),
    rows=(
        *("uniform", "decayed", "normalised", "alone_sgd", "weighted_sgd", "decayed_sgd", "normalised_sgd"),
        *("class_weighted", "balanced", "private", "public", "public_large", "commonest", "rest", "two_stages"),
        *("rest_at_random", "two_at_random", "middle", "rarest", "three_stages"),
    ),
    ensemble=Ensemble(methods=("mean",)),
    task="articleType",
    repeats=5,
)
