"""The best of some values of a setting, and of those beyond them where the best lies at an end."""

from collections.abc import Callable, Sequence

STEP = 10  # from an end to the next value beyond it


def best(score: Callable[[float], float], values: Sequence[float], least: float, most: float) -> float:
    """Find the value with the highest score: one of those given, or beyond an end that is better than all within.

    Of equal scores the first tried counts.

    Args:
        score: of a value; it is asked once for each.
        values: tried in any case, in this order.
        least, most: how far it goes on beyond them.
    """
    scores: dict[float, float] = {}
    untried = list(values)
    while untried:
        value = untried.pop(0)
        scores[value] = score(value)
        untried = untried or _beyond(scores, least, most)
    return max(scores, key=lambda tried: scores[tried])


def _beyond(scores: dict[float, float], least: float, most: float) -> list[float]:
    """List the next value beyond an end that is better than all others; none where there is no such end."""
    tried = sorted(scores)
    for end, following in ((tried[0], tried[0] / STEP), (tried[-1], tried[-1] * STEP)):
        others = [score for value, score in scores.items() if value != end]
        if others and scores[end] > max(others) and least <= following <= most:
            return [following]
    return []
