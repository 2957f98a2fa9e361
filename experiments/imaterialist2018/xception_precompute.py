"""Xception_large_precompute: MLoB's own head and training on Xception's features, their best single model [MLoB].

Command: make train SUITE=imaterialist2018 MODEL=xception_precompute
Reported by MLoB: 0.504 on Kaggle's test, 20 minutes an epoch. Theirs divided pixels by 255; ours uses Xception's own
preprocessing.
"""

from mlob.recipes import MLP, MLP_TRAINING, Experiment

recipe = Experiment(stores=("xception_large",), head=MLP, training=MLP_TRAINING)
