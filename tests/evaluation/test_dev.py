import numpy as np

from mlob.evaluation import dev
from mlob.evaluation.crossfit import folds

ROWS = slice(0, 80)


def test_a_decision_on_a_row_does_not_see_its_targets(made):
    targets = made["train"].targets[ROWS]
    noise = np.random.default_rng(0).random(targets.shape)
    probabilities = ((targets + 1.5 * noise) / 2.5).astype(np.float32)
    fold = folds(targets, 3, seed=0)
    found, spoilt = dev.answer(probabilities, targets, fold, None), targets.copy()
    spoilt[fold == 1] = 1 - spoilt[fold == 1]
    again = dev.answer(probabilities, spoilt, fold, None)
    assert np.array_equal(again[fold == 1], found[fold == 1]) and not np.array_equal(again, found)
