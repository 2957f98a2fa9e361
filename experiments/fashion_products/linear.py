"""One dense layer on DenseNet169's averages: a row to beat, not a member.

Command: make train SUITE=fashion_products MODEL=linear DATA=folder WEIGHTS=folder
Expected: about 0.86 to 0.87 micro-F1.
"""

from mlob.recipes import LINEAR, Experiment

recipe = Experiment(stores=("densenet169",), head=LINEAR)
