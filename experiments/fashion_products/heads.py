"""Models that differ from each other in one number: a learning rate, or the weight of the positive labels.

`rate_*`: one dense layer by gradient descent in batches of 100 at five learning rates; of these the Stanford poster,
which tried them on the last layer of Inception v3, took 0.01. `weight_*`: binary cross-entropy that counts the positive
labels 4 and 6 times; the poster saw F1 rise with the weight at a threshold of 0.5, and at the best threshold nothing is
gained [Stanford poster].

Command: make train SUITE=fashion_products MODEL=rate_0_1 DATA=folder WEIGHTS=folder
Cost: a minute each on 2 cores.
Measured in docs/heads.md.
"""

from mlob.recipes import LINEAR, Experiment, Training

RATES = {"rate_0_005": 0.005, "rate_0_01": 0.01, "rate_0_1": 0.1, "rate_0_5": 0.5, "rate_1": 1.0}
WEIGHTS = {"weight_4": 4.0, "weight_6": 6.0}
recipes = {
    name: Experiment(("densenet169",), LINEAR, Training(optimizer="sgd", learning_rate=rate, batch=100))
    for name, rate in RATES.items()
} | {
    name: Experiment(("densenet169",), training=Training(loss="weighted", positive_weight=weight))
    for name, weight in WEIGHTS.items()
}
