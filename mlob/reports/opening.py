"""What the page opens with, in words that need no statistics: how good it is, at what, and what to do next."""

from collections.abc import Mapping, Sequence

from mlob.ensemble.methods import CONSTANT
from mlob.evaluation.judge import LabelScores
from mlob.evaluation.scores import Score
from mlob.runs.results import EnsembleResult

GOOD, POOR = 0.8, 0.5  # F1 from which on a label is found well; below which poorly
JUDGEABLE = 10  # photos of validation from which on a label's figure is no mere chance
ENOUGH = 20  # photos of train from which on a label can be learned
NAMED = 5  # labels that are called by name
STEPS = 3  # that are advised at once


def tell(scores: Mapping[str, Score], labels: Sequence[LabelScores], facts: dict, diagnosis: dict | None) -> dict:
    """Tell what a layman needs to know.

    Args:
        scores: of the chosen method, by metric.
        labels: the chosen method's `LabelScores`.
        facts: what `facts.describe` gives.
        diagnosis: what `report.diagnose` gives, or None.

    Returns:
        {right, found (of 100 labels; None where the row does not say), good, poor, few ({names, more, labels}, or None
        without such labels), next: [(section of the page, or None; what to do)]}.
    """
    judged = [label for label in labels if label.validation >= JUDGEABLE]
    good = [label for label in _by_f1(judged)[::-1] if label.f1 >= GOOD]
    poor = [label for label in _by_f1(judged) if label.f1 < POOR]
    few = [label for label in labels if label.train < ENOUGH]
    return {
        "right": _of_a_hundred(scores.get("precision")),
        "found": _of_a_hundred(scores.get("recall")),
        "good": _named(good),
        "poor": _named(poor),
        "few": _named(few),
        "next": _steps(facts, few, diagnosis)[:STEPS],
    }


def why(ensemble: EnsembleResult) -> str:
    """Say why the chosen method was chosen, and what is left of its figure where luck has no say in the choice."""
    tried = sum(method.method != CONSTANT for method in ensemble.methods)
    return (
        f"it has the highest cross-fitted micro-F1 of {tried} methods on validation; picking the highest flatters the "
        "figure by a little: where each photo is decided on by the method that is highest on the other folds, it is "
        f"{ensemble.chosen.elsewhere.value:.3f}"
    )


def _by_f1(labels):
    return sorted(labels, key=lambda label: label.f1)


def _of_a_hundred(score):
    return None if score is None else round(100 * score.value)


def _named(labels):
    if not labels:
        return None
    names = [label.name for label in labels[:NAMED]]
    return {"names": names, "more": len(labels) - len(names), "labels": len(labels)}


def _steps(facts, few, diagnosis):
    """Advise what pays most first: [(section, sentence)]."""
    failed = sum(split["failed"]["photos"] for split in facts["splits"].values() if split["failed"])
    twice = sum(found["photos"] for found in facts["equal_between"])
    doubts = diagnosis["suspects"]["photos"] if diagnosis else 0
    found = [
        (twice, "data", f"take out the {_photos(twice)} that stand in two splits: they flatter the figures"),
        (failed, "data", f"mend or remove the {_photos(failed)} that are missing or could not be read"),
        (len(few), "labels", f"add photos of the {_count(len(few), 'label')} with fewer than {ENOUGH} to train on"),
        (doubts, "doubts", f"look through the {_photos(doubts)} whose annotations are in doubt"),
    ]
    return [(section, step) for number, section, step in found if number] or [
        (None, "make learning-curve says whether more photos would help")
    ]


def _photos(number):
    return _count(number, "photo")


def _count(number, kind):
    return f"{number:,} {kind}{'s' if number != 1 else ''}"
