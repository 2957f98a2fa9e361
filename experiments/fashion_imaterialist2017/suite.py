"""Convolutions from scratch with several tasks, as students trained them [iMaterialist 2017], small.

Command: make report SUITE=fashion_imaterialist2017 DATA=folder
Cost: half an hour on 2 cores.
Measured in docs/tasks.md. Their first task was four kinds of clothes; here it is the subcategory.
"""

from mlob.recipes import Annotations, Ensemble, Suite

recipe = Suite(
    data="data/fashion-products",
    members=("alone", "with_usage"),
    rows=(
        *("with_colour", "with_gender", "with_season", "with_three", "not_normalised"),
        *("public", "public_with_three", "private_with_three"),
    ),
    ensemble=Ensemble(methods=("mean",)),
    annotations=Annotations(other_below=0.01),
    task="subCategory",
    repeats=3,
)
