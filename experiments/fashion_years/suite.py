"""Kinds of articles learned on even years and tested on odd ones, as students split them [Fashion products].

Command: make report SUITE=fashion_years DATA=folder WEIGHTS=folder
Cost: ten minutes on 2 cores.
The folder holds styles.csv and images/. Validation is drawn from the even years.
Measured in docs/tasks.md.
"""

from mlob.recipes import Annotations, Ensemble, Suite

recipe = Suite(
    data="data/fashion-products",
    members=("alone", "weighted"),
    rows=("commonest", "rest", "two_stages"),
    ensemble=Ensemble(methods=("mean",)),
    annotations=Annotations(even="year"),
    task="articleType",
    repeats=5,
)
