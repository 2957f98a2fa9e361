"""scikit-learn's logistic regression over both networks' features: from few photos it errs in other ways than heads do.

Command: make train SUITE=photos MODEL=regression DATA=folder
Measured in docs/heads.md.
"""

from mlob.recipes import LOGISTIC, Experiment, Training

recipe = Experiment(
    stores=("efficientnet_lite0", "xception_large"),
    head=LOGISTIC,
    training=Training(folds=5),
    most_photos=3_000,
)
