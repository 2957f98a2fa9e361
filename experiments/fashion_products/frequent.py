"""A specialist for labels on at least 9.86% of the train rows; `rare` has the rest, `specialists` is their sum.

Team MLoB cut at 100,000 of 1,014,544 photos, which is 9.86% [MLoB].

Command: make train SUITE=fashion_products MODEL=frequent DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("densenet169",), least_share=100_000 / 1_014_544)
