"""Team MLoB's head and training [MLoB] on DenseNet169's averages: a row to beat, not a member.

Command: make train SUITE=fashion_products MODEL=mlp DATA=folder WEIGHTS=folder
Expected: about 0.82 micro-F1; its batch normalisation needs more rows.
"""

from mlob.recipes import MLP, MLP_TRAINING, Experiment

recipe = Experiment(stores=("densenet169",), head=MLP, training=MLP_TRAINING)
