"""Each row of an epoch is drawn by its label, and every label is drawn equally often.

Team MLoB's sampler [MLoB] was meant to do this, but took the photo before the one that it had drawn.

Command: make train SUITE=fashion_products MODEL=balanced_sampler DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import Experiment, Training

recipe = Experiment(stores=("densenet169",), training=Training(balance=1.0))
