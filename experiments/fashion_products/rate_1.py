"""One dense layer by gradient descent in batches of 100 at a learning rate of 1 [Stanford poster].

The poster tried 0.005, 0.01, 0.1, 0.5 and 1 on the last layer of Inception v3, and took 0.01.

Command: make train SUITE=fashion_products MODEL=rate_1 DATA=folder WEIGHTS=folder
Cost: a minute on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import LINEAR, Experiment, Training

recipe = Experiment(
    stores=("densenet169",), head=LINEAR, training=Training(optimizer="sgd", learning_rate=1.0, batch=100)
)
