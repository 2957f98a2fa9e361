import numpy as np
import pytest

from mlob.training import grid

VALUES = (0.003, 0.01, 0.1)


@pytest.mark.parametrize(
    "best, chosen, count",
    [(0.01, 0.01, 3), (0.1, 0.1, 4), (1, 1, 5), (0.003, 0.003, 4), (3e-4, 3e-4, 5), (1e9, 100, 6)],
)
def test_the_best_lies_within_what_was_tried_or_at_the_far_end(best, chosen, count):
    tried = []

    def score(value):
        tried.append(value)
        return -abs(np.log(value / best))

    assert grid.best(score, VALUES, 1e-5, 100) == pytest.approx(chosen)
    assert len(tried) == len(set(tried)) == count


def test_equal_scores_at_an_end_are_no_reason_to_go_on_and_the_first_counts():
    tried = []
    assert grid.best(lambda value: tried.append(value) or 1.0, VALUES, 1e-5, 100) == VALUES[0]
    assert tried == list(VALUES)
