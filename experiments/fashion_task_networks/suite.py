"""Whole ResNet50s that learn the kind of article, as students trained them [Fashion products], small.

Command: make report SUITE=fashion_task_networks DATA=folder WEIGHTS=folder
Cost: an hour on 2 cores.
Measured in docs/tasks.md. They are a suite of their own so that a report of fashion_tasks need not train them.
"""

from mlob.recipes import Ensemble, Suite

recipe = Suite(
    data="data/fashion-products",
    members=("alone", "weighted"),
    rows=("adam", "whole_photos", "class_weighted", "progressive", "small_photos"),
    ensemble=Ensemble(methods=("mean",)),
    task="articleType",
    repeats=2,
)
